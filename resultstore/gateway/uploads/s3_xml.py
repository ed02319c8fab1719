"""The XML responses of S3's multipart upload operations (Amazon S3 API reference)."""

from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import escape

from resultstore.blobs.blobstore import Part

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


def created_xml(key: str, *, upload_id: str) -> str:
    """Return the response to CreateMultipartUpload."""
    return _document("InitiateMultipartUploadResult", f"{_key(key)}<UploadId>{escape(upload_id)}</UploadId>")


def parts_xml(key: str, *, upload_id: str, parts: Iterable[Part]) -> str:
    """Return the response to ListParts, with all parts on one page because Uppy reads only the first."""
    rows = "".join(
        f"<Part><PartNumber>{one.number}</PartNumber><ETag>&quot;{escape(one.etag)}&quot;</ETag>"
        f"<Size>{one.size_bytes}</Size></Part>"
        for one in parts
    )
    head = f"{_key(key)}<UploadId>{escape(upload_id)}</UploadId><IsTruncated>false</IsTruncated>"
    return _document("ListPartsResult", head + rows)


def completed_xml(key: str, *, location: str) -> str:
    """Return the response to CompleteMultipartUpload, without the ETag, which must not leave the gateway."""
    return _document("CompleteMultipartUploadResult", f"<Location>{escape(location)}</Location>{_key(key)}")


def _key(key: str) -> str:
    return f"<Key>{escape(key)}</Key>"


def _document(name: str, content: str) -> str:
    return f'{_HEAD}<{name} xmlns="{_NAMESPACE}">{content}</{name}>'
