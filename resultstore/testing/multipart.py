"""Promises of MultipartStore: clients send one blob in parts, and only the server makes a blob of them."""

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from resultstore.blobs.blobstore import BlobStore, MultipartStore, Part
from resultstore.model import layout
from resultstore.model.errors import BadReference, BlobMissing
from resultstore.testing.promises import MIB, at_once, keys, pattern, raised, read

FIRST: Final = 5 * MIB  # S3 takes no smaller part but the last
BODY: Final = pattern(FIRST + 3000)


class MultipartBlobs(BlobStore, MultipartStore, Protocol):
    """A BlobStore that is a MultipartStore too."""


# Sends one part as a client does, by key, upload id, number and content; returns its entity tag.
PartSender = Callable[[str, str, int, bytes], str]


class MultipartDriver(NamedTuple):
    """The driver to check, and how a client sends it a part."""

    blobs: MultipartBlobs
    send: PartSender


class _Upload(NamedTuple):
    key: str
    id: str
    parts: tuple[Part, ...]


def _begun(driver: MultipartDriver) -> _Upload:
    """Return an upload that has both parts of BODY, sent in the wrong order."""
    key = layout.upload_key("job", retention="1d", nonce=layout.new_nonce())
    upload_id = driver.blobs.begin_parts(key, media_type="video/mp4")
    driver.send(key, upload_id, 2, BODY[FIRST:])
    driver.send(key, upload_id, 1, BODY[:FIRST])
    return _Upload(key, upload_id, driver.blobs.parts(key, upload_id=upload_id))


def has_every_multipart_method(driver: MultipartDriver) -> None:
    """A driver implements every method of MultipartStore."""
    assert isinstance(driver.blobs, MultipartStore)


def joins_parts_by_number(driver: MultipartDriver) -> None:
    """complete_parts: joins the parts by number; the blob cannot be read before."""
    upload, blobs = _begun(driver), driver.blobs
    before = keys(blobs)

    stored = blobs.complete_parts(upload.key, upload_id=upload.id, parts=upload.parts)

    assert before == []
    assert [(one.number, one.size_bytes) for one in upload.parts] == [(1, FIRST), (2, 3000)]
    assert (stored.key, stored.size_bytes) == (upload.key, len(BODY))
    assert stored.etag == blobs.stat(upload.key).etag
    assert hashlib.sha256(read(blobs, upload.key)).digest() == hashlib.sha256(BODY).digest()


def replaces_a_part_sent_again(driver: MultipartDriver) -> None:
    """A part that is sent again replaces the earlier one."""
    upload, blobs = _begun(driver), driver.blobs
    etag = driver.send(upload.key, upload.id, 2, b"another end")

    parts = blobs.parts(upload.key, upload_id=upload.id)
    blobs.complete_parts(upload.key, upload_id=upload.id, parts=parts)

    assert parts[1] == Part(number=2, size_bytes=11, etag=etag)
    assert read(blobs, upload.key, start=FIRST) == b"another end"


def completes_twice_alike(driver: MultipartDriver) -> None:
    """complete_parts: a second call returns the same; then parts raises BlobMissing."""
    upload, blobs = _begun(driver), driver.blobs

    first = blobs.complete_parts(upload.key, upload_id=upload.id, parts=upload.parts)
    second = blobs.complete_parts(upload.key, upload_id=upload.id, parts=upload.parts)

    assert second.etag == first.etag
    raised(BlobMissing, lambda: blobs.parts(upload.key, upload_id=upload.id))


def completes_once_among_four(driver: MultipartDriver) -> None:
    """complete_parts: of several calls at once all return the same blob, and none fails."""
    upload, blobs = _begun(driver), driver.blobs

    done = at_once(4, lambda _: blobs.complete_parts(upload.key, upload_id=upload.id, parts=upload.parts))

    assert {one.etag for one in done} == {blobs.stat(upload.key).etag}
    assert keys(blobs) == [upload.key]


def completes_nothing_over_another_blob(driver: MultipartDriver) -> None:
    """complete_parts: raises BadReference when the key holds another blob, and leaves that blob."""
    upload, blobs = _begun(driver), driver.blobs
    blobs.put(upload.key, [b"foreign"], media_type="text/plain")

    raised(
        BadReference,
        lambda: blobs.complete_parts(upload.key, upload_id=upload.id, parts=upload.parts),
        naming="new",
    )

    assert read(blobs, upload.key) == b"foreign"


def completes_nothing_with_a_swapped_part(driver: MultipartDriver) -> None:
    """complete_parts: raises BadReference when a part is not as listed; the upload can still be completed."""
    upload, blobs = _begun(driver), driver.blobs
    driver.send(upload.key, upload.id, 2, b"replaced after the parts were listed")

    raised(
        BadReference,
        lambda: blobs.complete_parts(upload.key, upload_id=upload.id, parts=upload.parts),
        naming="listed",
    )

    assert keys(blobs) == []
    assert len(blobs.parts(upload.key, upload_id=upload.id)) == 2


def ends_an_aborted_upload(driver: MultipartDriver) -> None:
    """abort_parts: deletes the upload; a second call is no error."""
    upload, blobs = _begun(driver), driver.blobs

    blobs.abort_parts(upload.key, upload_id=upload.id)
    blobs.abort_parts(upload.key, upload_id=upload.id)

    raised(BlobMissing, lambda: blobs.parts(upload.key, upload_id=upload.id))
    raised(BlobMissing, lambda: blobs.complete_parts(upload.key, upload_id=upload.id, parts=upload.parts))
    assert keys(blobs) == []


def binds_an_upload_to_its_key(driver: MultipartDriver) -> None:
    """parts: raises BlobMissing for an upload of another key."""
    upload = _begun(driver)
    other = layout.upload_key("other", retention="1d", nonce=layout.new_nonce())

    raised(BlobMissing, lambda: driver.blobs.parts(other, upload_id=upload.id))
