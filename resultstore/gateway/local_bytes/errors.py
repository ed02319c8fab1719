"""Refusals: how the bytes listener says no: a status and an XML document, as S3 does."""

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

# S3's own codes (Amazon S3 API Reference, Error Responses), so that its clients understand them.
_CODES: tuple[tuple[type[ResultStoreError], HTTPStatus, str, str], ...] = (
    (BadReference, HTTPStatus.FORBIDDEN, "AccessDenied", "the URL has expired, or is not one for this request"),
    (BlobMissing, HTTPStatus.NOT_FOUND, "NoSuchKey", "nothing stands under this key"),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "EntityTooLarge", "the store cannot take that many bytes"),
    (BlobStoreFull, HTTPStatus.INSUFFICIENT_STORAGE, "XMinioStorageFull", "the store has no room left"),
    (ResultStoreError, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable", "the store does not answer; try again"),
)


class HttpRefusal(Exception):
    """A request that is not carried out: status, S3's code for it, a sentence, further headers."""

    def __init__(self, status: HTTPStatus, code: str, text: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text
        self.headers = dict(headers or {})


def refusal_of(error: ResultStoreError) -> HttpRefusal:
    """The refusal that an error of ours becomes; its own message may name paths and stays here."""
    status, code, text = next(row[1:] for row in _CODES if isinstance(error, row[0]))
    return HttpRefusal(status, code, text)


def refused(refusal: HttpRefusal) -> Response:
    """The answer to a refused request. The connection ends with it: a body may still be on its way."""
    text = escape(refusal.text)
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{refusal.code}</Code><Message>{text}</Message></Error>'
    )
    headers = refusal.headers | {"Connection": "close"}
    return Response(document, refusal.status, headers=headers, media_type="application/xml")
