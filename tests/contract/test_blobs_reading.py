"""The contract of BlobStore, reading: what was put is found, whole or by range, and nothing else is."""

import hashlib
import time
from itertools import pairwise

import pytest

from resultstore.blobs.blobstore import BlobStore
from resultstore.model.errors import BadReference, BlobMissing
from tests.contract.steps import KEY, MIB, keys, pattern, put, read

DIGITS = b"0123456789"


def test_every_driver_has_all_methods(blobs):
    assert isinstance(blobs, BlobStore)


def test_what_was_put_is_what_is_read_and_reported(blobs):
    before = time.time()

    stored = put(blobs, KEY, b"hello ", b"world")

    assert read(blobs) == b"hello world"
    assert (stored.key, stored.size_bytes) == (KEY, 11)
    assert stored.etag
    assert '"' not in stored.etag
    assert abs(stored.modified_at - before) < 60
    for again in (blobs.stat(KEY), *blobs.list("")):
        assert (again.key, again.size_bytes, again.etag) == (KEY, 11, stored.etag)
        assert abs(again.modified_at - before) < 60


def test_an_empty_blob_is_a_blob(blobs):
    stored = put(blobs, KEY)

    assert stored.size_bytes == 0
    assert blobs.stat(KEY).size_bytes == 0
    assert read(blobs) == b""
    assert keys(blobs) == [KEY]


def test_a_large_blob_of_odd_chunks_of_every_kind_arrives_whole(blobs):
    body = pattern(20 * MIB + 3)
    cuts = [0, 0, 1, 7, 4097, 3 * MIB + 1, 3 * MIB + 1, 11 * MIB - 5, 19 * MIB, len(body)]
    kinds = (bytes, bytearray, memoryview)
    chunks = [kinds[n % 3](body[start:end]) for n, (start, end) in enumerate(pairwise(cuts))]

    stored = blobs.put(KEY, iter(chunks), media_type="application/octet-stream", size_hint_bytes=len(body))

    assert stored.size_bytes == len(body)
    assert hashlib.sha256(read(blobs)).digest() == hashlib.sha256(body).digest()
    assert read(blobs, start=8 * MIB - 2, size_bytes=5) == body[8 * MIB - 2 : 8 * MIB + 3]


def test_a_wrong_size_hint_changes_nothing(blobs):
    for n, hint in enumerate((0, 3, 10**9)):
        blobs.put(f"a/{n}", [DIGITS], media_type="text/plain", size_hint_bytes=hint)

        assert read(blobs, f"a/{n}") == DIGITS


def test_a_view_of_wider_items_is_stored_byte_by_byte(blobs):
    put(blobs, KEY, memoryview(bytes(range(16))).cast("I"), b"end")

    assert read(blobs) == bytes(range(16)) + b"end"


@pytest.mark.parametrize(
    ("start", "size_bytes", "expected"),
    [
        (0, None, DIGITS),
        (0, 10, DIGITS),
        (3, None, DIGITS[3:]),
        (3, 4, DIGITS[3:7]),
        (9, 1, DIGITS[9:]),
        (7, 100, DIGITS[7:]),
        (0, 11, DIGITS),
        (10, None, b""),
        (10, 5, b""),
        (25, None, b""),
        (25, 5, b""),
        (0, 0, b""),
        (5, 0, b""),
    ],
)
def test_a_range_is_cut_at_the_end_of_the_blob(blobs, start, size_bytes, expected):
    put(blobs, KEY, DIGITS)

    assert read(blobs, start=start, size_bytes=size_bytes) == expected


@pytest.mark.parametrize("start", [0, 1])
def test_a_range_of_an_empty_blob_is_empty(blobs, start):
    put(blobs, KEY)

    assert read(blobs, start=start, size_bytes=4) == b""


def test_a_large_blob_is_handed_out_in_chunks(blobs):
    body = pattern(20 * MIB)
    put(blobs, KEY, body)

    sizes = [len(chunk) for chunk in blobs.get(KEY)]

    assert sum(sizes) == len(body)
    assert max(sizes) <= 16 * MIB
    assert min(sizes) > 0


def test_a_reader_that_stops_early_disturbs_nobody(blobs):
    body = pattern(12 * MIB)
    put(blobs, KEY, body)

    reader = blobs.get(KEY)
    first = next(reader)
    del reader

    assert body.startswith(first)
    assert read(blobs) == body


def test_what_was_never_written_is_missing(blobs):
    with pytest.raises(BlobMissing, match=KEY):
        read(blobs)
    with pytest.raises(BlobMissing, match=KEY):
        read(blobs, start=5, size_bytes=5)
    with pytest.raises(BlobMissing, match=KEY):
        blobs.stat(KEY)
    assert keys(blobs) == []


def test_the_beginning_of_a_key_is_no_key(blobs):
    put(blobs, "a/b/c", b"x")

    for part in ("a", "a/b", "a/b/c/d"):
        with pytest.raises(BlobMissing):
            read(blobs, part)
        with pytest.raises(BlobMissing):
            blobs.stat(part)


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", ".drafts/x", "a/.b", "a\0b", "a" * 300]
)
def test_what_cannot_be_a_key_is_refused(blobs, key):
    for call in (
        lambda: put(blobs, key, b"x"),
        lambda: blobs.create(key, b"x", tags={}),
        lambda: read(blobs, key),
        lambda: blobs.stat(key),
        lambda: blobs.delete([key]),
    ):
        with pytest.raises(BadReference):
            call()


def test_every_key_of_the_layout_is_a_key(blobs):
    made = ["layout.json", "seals/00/" + "x" * 64, "seals/01/~" + "0" * 64, f"blobs/keep/02/A-_9/{'f' * 32}.999999999"]

    for key in made:
        put(blobs, key, key.encode())

    assert keys(blobs) == sorted(made)
    assert [read(blobs, key) for key in made] == [key.encode() for key in made]


def test_a_listing_names_exactly_what_begins_with_the_prefix(blobs):
    made = ["a/b/1", "a/b/2", "a/bc/3", "a/c/4", "ab/5", "b/a/b/6", "top"]
    for key in made:
        put(blobs, key, b"x")

    assert keys(blobs) == sorted(made)
    assert keys(blobs, "a/b/") == ["a/b/1", "a/b/2"]
    assert keys(blobs, "a/b") == ["a/b/1", "a/b/2", "a/bc/3"]
    assert keys(blobs, "a/b/1") == ["a/b/1"]
    assert keys(blobs, "a") == ["a/b/1", "a/b/2", "a/bc/3", "a/c/4", "ab/5"]
    for nothing in ("a/b/1/", "c", "a/b/11", "../", "/", "."):
        assert keys(blobs, nothing) == []


def test_a_listing_of_nothing_is_empty(blobs):
    assert keys(blobs) == []


def test_the_clock_tells_the_time(blobs):
    assert abs(blobs.now() - time.time()) < 5
    earlier = blobs.now()
    assert 0 <= blobs.now() - earlier < 5
