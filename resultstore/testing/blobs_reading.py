"""Promises of BlobReader: what was put is found, whole or by range, and nothing else is."""

import hashlib
import time
from itertools import pairwise
from typing import Final

from resultstore.blobs.blobstore import BlobStore
from resultstore.model.errors import BadReference, BlobMissing
from resultstore.testing.promises import KEY, MIB, keys, pattern, put, raised, read

DIGITS: Final = b"0123456789"
_RANGES: Final = (
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
)
_NO_KEYS: Final = ("", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", ".drafts/x", "a/.b", "a\0b", "a" * 300)


def has_every_method(blobs: BlobStore) -> None:
    """A driver implements every method of BlobStore."""
    assert isinstance(blobs, BlobStore)


def returns_what_was_put(blobs: BlobStore) -> None:
    """get: returns what was put; put, stat and list report its size, its entity tag without quotes and its time."""
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


def stores_an_empty_blob(blobs: BlobStore) -> None:
    """put: an empty blob is a blob."""
    stored = put(blobs, KEY)

    assert stored.size_bytes == 0
    assert blobs.stat(KEY).size_bytes == 0
    assert read(blobs) == b""
    assert keys(blobs) == [KEY]


def stores_chunks_of_every_kind(blobs: BlobStore) -> None:
    """put: a large blob in chunks of any size, of bytes, bytearray or memoryview, is stored whole."""
    body = pattern(20 * MIB + 3)
    cuts = [0, 0, 1, 7, 4097, 3 * MIB + 1, 3 * MIB + 1, 11 * MIB - 5, 19 * MIB, len(body)]
    kinds = (bytes, bytearray, memoryview)
    chunks = [kinds[n % 3](body[start:end]) for n, (start, end) in enumerate(pairwise(cuts))]

    stored = blobs.put(KEY, iter(chunks), media_type="application/octet-stream", size_hint_bytes=len(body))

    assert stored.size_bytes == len(body)
    assert hashlib.sha256(read(blobs)).digest() == hashlib.sha256(body).digest()
    assert read(blobs, start=8 * MIB - 2, size_bytes=5) == body[8 * MIB - 2 : 8 * MIB + 3]


def ignores_a_wrong_size_hint(blobs: BlobStore) -> None:
    """put: a wrong size hint changes nothing."""
    for n, hint in enumerate((0, 3, 10**9)):
        blobs.put(f"a/{n}", [DIGITS], media_type="text/plain", size_hint_bytes=hint)

        assert read(blobs, f"a/{n}") == DIGITS, f"with the hint {hint}"


def stores_a_wide_view_bytewise(blobs: BlobStore) -> None:
    """put: a memoryview of wider items is stored byte by byte."""
    put(blobs, KEY, memoryview(bytes(range(16))).cast("I"), b"end")

    assert read(blobs) == bytes(range(16)) + b"end"


def cuts_a_range_at_the_end(blobs: BlobStore) -> None:
    """get: a range is cut at the end of the blob; one that begins beyond the end yields nothing."""
    put(blobs, KEY, DIGITS)

    for start, size_bytes, expected in _RANGES:
        found = read(blobs, start=start, size_bytes=size_bytes)
        assert found == expected, f"start={start}, size_bytes={size_bytes}: {found!r}, not {expected!r}"


def reads_no_range_of_an_empty_blob(blobs: BlobStore) -> None:
    """get: a range of an empty blob is empty."""
    put(blobs, KEY)

    for start in (0, 1):
        assert read(blobs, start=start, size_bytes=4) == b"", f"start={start}"


def streams_in_chunks(blobs: BlobStore) -> None:
    """get: a large blob comes in chunks of at most 16 MiB, none of them empty."""
    body = pattern(20 * MIB)
    put(blobs, KEY, body)

    sizes = [len(chunk) for chunk in blobs.get(KEY)]

    assert sum(sizes) == len(body)
    assert max(sizes) <= 16 * MIB
    assert min(sizes) > 0


def survives_an_abandoned_reader(blobs: BlobStore) -> None:
    """get: a reader that stops early disturbs no other reader."""
    body = pattern(12 * MIB)
    put(blobs, KEY, body)

    reader = blobs.get(KEY)
    first = next(reader)
    del reader

    assert body.startswith(first)
    assert read(blobs) == body


def reports_a_missing_blob(blobs: BlobStore) -> None:
    """Get and stat: raise BlobMissing, which names the key, for a key that was never written."""
    raised(BlobMissing, lambda: read(blobs), naming=KEY)
    raised(BlobMissing, lambda: read(blobs, start=5, size_bytes=5), naming=KEY)
    raised(BlobMissing, lambda: blobs.stat(KEY), naming=KEY)
    assert keys(blobs) == []


def finds_no_part_of_a_key(blobs: BlobStore) -> None:
    """Get and stat: the beginning of a key, and a key that continues it, are different keys."""
    put(blobs, "a/b/c", b"x")

    for part in ("a", "a/b", "a/b/c/d"):
        raised(BlobMissing, lambda part=part: read(blobs, part))  # type: ignore[misc]
        raised(BlobMissing, lambda part=part: blobs.stat(part))  # type: ignore[misc]


def refuses_what_is_no_key(blobs: BlobStore) -> None:
    """Every method that takes a key raises BadReference for a string that cannot be one."""
    for key in _NO_KEYS:
        for call in (
            lambda key=key: put(blobs, key, b"x"),
            lambda key=key: blobs.create(key, b"x", tags={}),
            lambda key=key: read(blobs, key),
            lambda key=key: blobs.stat(key),
            lambda key=key: blobs.delete([key]),
        ):
            raised(BadReference, call)


def takes_every_key_of_the_layout(blobs: BlobStore) -> None:
    """Every key that `resultstore.model.layout` makes can be written, read and listed."""
    made = ["layout.json", "seals/00/" + "x" * 64, "seals/01/~" + "0" * 64, f"blobs/keep/02/A-_9/{'f' * 32}.999999999"]

    for key in made:
        put(blobs, key, key.encode())

    assert keys(blobs) == sorted(made)
    assert [read(blobs, key) for key in made] == [key.encode() for key in made]


def lists_by_prefix(blobs: BlobStore) -> None:
    """list: yields exactly the keys that begin with the prefix."""
    made = ["a/b/1", "a/b/2", "a/bc/3", "a/c/4", "ab/5", "b/a/b/6", "top"]
    for key in made:
        put(blobs, key, b"x")

    assert keys(blobs) == sorted(made)
    assert keys(blobs, "a/b/") == ["a/b/1", "a/b/2"]
    assert keys(blobs, "a/b") == ["a/b/1", "a/b/2", "a/bc/3"]
    assert keys(blobs, "a/b/1") == ["a/b/1"]
    assert keys(blobs, "a") == ["a/b/1", "a/b/2", "a/bc/3", "a/c/4", "ab/5"]
    for nothing in ("a/b/1/", "c", "a/b/11", "../", "/", "."):
        assert keys(blobs, nothing) == [], f"prefix {nothing!r}"


def lists_nothing_when_empty(blobs: BlobStore) -> None:
    """list: an empty store lists nothing."""
    assert keys(blobs) == []


def returns_the_time(blobs: BlobStore) -> None:
    """now: returns seconds since the epoch, and never goes backwards between two calls."""
    assert abs(blobs.now() - time.time()) < 5
    earlier = blobs.now()
    assert 0 <= blobs.now() - earlier < 5
