"""HttpRefusal: the errors of the bytes listener, an HTTP status and an XML document as in S3."""

from collections.abc import Mapping
from http import HTTPStatus
from xml.sax.saxutils import escape

from starlette.responses import Response

from resultstore.model.errors import (
    BadReference,
    BlobMissing,
    BlobStoreFull,
    ResultStoreError,
    TooLarge,
)

# S3's error codes (Amazon S3 API Reference, Error Responses), which S3 clients understand.
_CODES: tuple[tuple[type[ResultStoreError], HTTPStatus, str, str], ...] = (
    (BadReference, HTTPStatus.FORBIDDEN, "AccessDenied", "the URL has expired or is not valid for this request"),
    (BlobMissing, HTTPStatus.NOT_FOUND, "NoSuchKey", "no blob exists under this key"),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "EntityTooLarge", "the blob is too large for the store"),
    (BlobStoreFull, HTTPStatus.INSUFFICIENT_STORAGE, "XMinioStorageFull", "the store is full"),
    (ResultStoreError, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", "the store does not answer; try again"),
)


class HttpRefusal(Exception):
    """A refused request: HTTP status, S3's error code, a sentence, extra headers."""

    def __init__(self, status: HTTPStatus, code: str, text: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.headers = dict(headers or {})


def refusal_of(error: ResultStoreError) -> HttpRefusal:
    """Return the refusal for an error; the error's own message may name paths and is not shown."""
    status, code, text = next(row[1:] for row in _CODES if isinstance(error, row[0]))
    return HttpRefusal(status, code, text)


def refusal_response(refusal: HttpRefusal) -> Response:
    """Return the response to a refused request. It closes the connection, since a body may still be arriving."""
    text = escape(refusal.text)
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{refusal.code}</Code><Message>{text}</Message></Error>'
    )
    headers = refusal.headers | {"Connection": "close"}
    return Response(document, refusal.status, headers=headers, media_type="application/xml")
