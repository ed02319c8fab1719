"""The contract of MultipartStore: strangers send one blob in parts, and only the server makes a blob of them."""

import hashlib
import os
import time

import httpx
import pytest

from resultstore.blobs.blobstore import MultipartStore, Part, PartReceiver
from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.s3.signer import S3Signer
from resultstore.model import layout
from resultstore.model.errors import BadReference, BlobMissing
from tests.contract.steps import MIB, at_once, keys, pattern, read

FIRST = 5 * MIB  # S3 takes no smaller part but the last
BODY = pattern(FIRST + 3000)


@pytest.fixture
def key():
    return layout.upload_key("job", retention="1d", nonce=layout.new_nonce())


@pytest.fixture(params=["local", "s3"])
def blobs(request, tmp_path):
    return LocalBlobs(tmp_path / "blobs") if request.param == "local" else request.getfixturevalue("s3_blobs")


@pytest.fixture
def send(blobs, request):
    """Sends a part as a stranger does, where the driver is not served by ourselves; gives its tag."""

    def to_s3(key, upload_id, number, body):
        signer = S3Signer(blobs._bucket.target, credentials=blobs._bucket._credentials)
        signed = signer.sign_part(key, expires_in_s=60, upload_id=upload_id, number=number, size_bytes=len(body))
        answer = httpx.put(signed.url, content=body, headers=signed.headers)
        answer.raise_for_status()
        return answer.headers["etag"].strip('"')

    def to_local(key, upload_id, number, body):
        return blobs.put_part(key, upload_id=upload_id, number=number, chunks=[body]).etag

    return to_local if isinstance(blobs, PartReceiver) else to_s3


@pytest.fixture
def begun(blobs, key, send):
    """An upload with both parts of BODY."""
    upload_id = blobs.begin_parts(key, media_type="video/mp4")
    send(key, upload_id, 2, BODY[FIRST:])
    send(key, upload_id, 1, BODY[:FIRST])
    return upload_id


def test_a_driver_has_this_power(blobs):
    assert isinstance(blobs, MultipartStore)


def test_parts_become_the_blob_in_their_order_when_the_server_says_so(blobs, key, begun):
    parts = blobs.parts(key, upload_id=begun)
    before = keys(blobs)

    stored = blobs.complete_parts(key, upload_id=begun, parts=parts)

    assert before == [], "nothing of it is read before"
    assert [(one.number, one.size_bytes) for one in parts] == [(1, FIRST), (2, 3000)]
    assert (stored.key, stored.size_bytes) == (key, len(BODY))
    assert stored.etag == blobs.stat(key).etag
    assert hashlib.sha256(read(blobs, key)).digest() == hashlib.sha256(BODY).digest()


def test_a_part_that_is_sent_again_replaces_the_earlier_one(blobs, key, begun, send):
    etag = send(key, begun, 2, b"another end")

    parts = blobs.parts(key, upload_id=begun)
    blobs.complete_parts(key, upload_id=begun, parts=parts)

    assert parts[1] == Part(number=2, size_bytes=11, etag=etag)
    assert read(blobs, key, start=FIRST) == b"another end"


def test_completing_again_gives_the_same_answer(blobs, key, begun):
    parts = blobs.parts(key, upload_id=begun)

    first = blobs.complete_parts(key, upload_id=begun, parts=parts)
    second = blobs.complete_parts(key, upload_id=begun, parts=parts)

    assert second.etag == first.etag
    with pytest.raises(BlobMissing):
        blobs.parts(key, upload_id=begun)


def test_completing_at_once_makes_one_blob_and_nobody_fails(blobs, key, begun):
    parts = blobs.parts(key, upload_id=begun)

    done = at_once(4, lambda _: blobs.complete_parts(key, upload_id=begun, parts=parts))

    assert {one.etag for one in done} == {blobs.stat(key).etag}
    assert keys(blobs) == [key]


def test_a_key_that_somebody_wrote_meanwhile_is_left_as_it_is(blobs, key, begun):
    blobs.put(key, [b"foreign"], media_type="text/plain")
    parts = blobs.parts(key, upload_id=begun)

    with pytest.raises(BadReference, match="new"):
        blobs.complete_parts(key, upload_id=begun, parts=parts)

    assert read(blobs, key) == b"foreign"


def test_a_part_that_is_not_as_listed_completes_nothing(blobs, key, begun, send):
    parts = blobs.parts(key, upload_id=begun)
    send(key, begun, 2, b"swapped behind the server's back")

    with pytest.raises(BadReference, match="listed"):
        blobs.complete_parts(key, upload_id=begun, parts=parts)

    assert keys(blobs) == []
    assert len(blobs.parts(key, upload_id=begun)) == 2, "nothing is lost: it can still be completed"


def test_an_aborted_upload_is_over(blobs, key, begun):
    parts = blobs.parts(key, upload_id=begun)

    blobs.abort_parts(key, upload_id=begun)
    blobs.abort_parts(key, upload_id=begun)

    with pytest.raises(BlobMissing):
        blobs.parts(key, upload_id=begun)
    with pytest.raises(BlobMissing):
        blobs.complete_parts(key, upload_id=begun, parts=parts)
    assert keys(blobs) == []


def test_an_upload_belongs_to_its_key(blobs, key, begun):
    other = layout.upload_key("other", retention="1d", nonce=layout.new_nonce())

    with pytest.raises(BlobMissing):
        blobs.parts(other, upload_id=begun)


def test_a_folder_drops_what_nobody_remembers_and_takes_no_part_for_what_is_over(tmp_path, key):
    blobs = LocalBlobs(tmp_path)
    old = blobs.begin_parts(key, media_type="video/mp4")
    long_ago = time.time() - 3 * 86_400
    os.utime(tmp_path / ".parts" / old, (long_ago, long_ago))

    blobs.begin_parts(key, media_type="video/mp4")

    assert not (tmp_path / ".parts" / old).exists()
    with pytest.raises(BlobMissing):
        blobs.put_part(key, upload_id=old, number=1, chunks=[b"late"])
    assert not (tmp_path / ".parts" / old).exists()
    with pytest.raises(BadReference):
        blobs.put_part(key, upload_id="../../etc", number=1, chunks=[b"x"])
