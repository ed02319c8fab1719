"""S3Documents: the XML with which S3 answers about uploads in parts (Amazon S3 API reference)."""

from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import escape

from resultstore.blobs.blobstore import Part

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"


def begun(key: str, *, upload_id: str) -> str:
    """The answer to CreateMultipartUpload."""
    return _document("InitiateMultipartUploadResult", f"{_key(key)}<UploadId>{escape(upload_id)}</UploadId>")


def listed(key: str, *, upload_id: str, parts: Iterable[Part]) -> str:
    """The answer to ListParts: all of them at once, for Uppy reads the first page only."""
    rows = "".join(
        f"<Part><PartNumber>{one.number}</PartNumber><ETag>&quot;{escape(one.etag)}&quot;</ETag>"
        f"<Size>{one.size_bytes}</Size></Part>"
        for one in parts
    )
    head = f"{_key(key)}<UploadId>{escape(upload_id)}</UploadId><IsTruncated>false</IsTruncated>"
    return _document("ListPartsResult", head + rows)


def completed(key: str, *, location: str) -> str:
    """The answer to CompleteMultipartUpload; the entity tag stays where keys do."""
    return _document("CompleteMultipartUploadResult", f"<Location>{escape(location)}</Location>{_key(key)}")


def _key(key: str) -> str:
    return f"<Key>{escape(key)}</Key>"


def _document(name: str, content: str) -> str:
    return f'{_HEAD}<{name} xmlns="{_NAMESPACE}">{content}</{name}>'
