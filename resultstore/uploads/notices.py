"""Notices: reads bucket notifications (S3 events) about uploads."""

from typing import Final
from urllib.parse import unquote_plus

import msgspec

from resultstore.model import layout
from resultstore.model.errors import BadInput

_CREATED: Final = "s3:ObjectCreated:"
_MAX_BYTES: Final = 1024 * 1024


class _Name(msgspec.Struct, frozen=True):
    name: str = ""


class _Object(msgspec.Struct, frozen=True):
    key: str = ""


class _S3(msgspec.Struct, frozen=True):
    bucket: _Name = _Name()
    object: _Object = _Object()


class _NoticeRecord(msgspec.Struct, frozen=True, rename={"event": "eventName"}):
    event: str = ""
    s3: _S3 = _S3()


class _Notice(msgspec.Struct, frozen=True, rename={"records": "Records"}):
    records: list[_NoticeRecord] = []


_READ: Final = msgspec.json.Decoder(_Notice)


def arrivals(body: bytes, *, bucket: str, root: str) -> list[str]:
    """Return the ids of the uploads that the event reports as stored; other buckets and keys are ignored.

    Anyone who can publish can forge an event, so it is only a reason to check the upload.

    Args:
        body: an S3 event as JSON (Amazon S3 User Guide, "Event message structure"); keys are encoded as in a form.
        bucket: the bucket's name.
        root: the prefix of our keys; "" for the whole bucket.

    Raises BadInput if `body` is not such an event.
    """
    if len(body) > _MAX_BYTES:
        raise BadInput(f"an event of {len(body)} bytes is too long: check who publishes to the exchange")
    try:
        records = _READ.decode(body).records
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"a message is not an S3 event ({error}): check who publishes to the exchange") from error
    keys = [
        unquote_plus(one.s3.object.key)
        for one in records
        if (one.event if one.event.startswith("s3:") else f"s3:{one.event}").startswith(_CREATED)
        and one.s3.bucket.name == bucket
    ]
    start = f"{root}/" if root else ""
    ours = [key.removeprefix(start) for key in keys if key.startswith(f"{start}uploads/")]
    return [layout.id_of_upload_key(key) for key in ours if layout.is_content_key(key)]
