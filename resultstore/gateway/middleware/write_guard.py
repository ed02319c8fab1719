"""Writes: what a request must be like, from where and with what body, before a route sees it."""

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resultstore.gateway.middleware.path_prefix import route_path
from resultstore.gateway.problems import Problem, problem
from resultstore.model.markers import TYPE_KEY

MAX_BODY_BYTES: Final = 1024 * 1024
BODY_LIMIT_S: Final = 10.0
MAX_DEPTH: Final = 32
_LEAST_INT, _LARGEST_INT = -(2**63), 2**64 - 1  # of MessagePack, in which an order is kept
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE: Final = frozenset({"", "same-origin", "none"})  # none: typed into the address bar, or a program


class WriteGuard:
    """ASGI middleware: refuses other sites' pages, and bodies that are no small plain JSON.

    Bodies are read here, whole and in time, so that no route waits for a slow sender or reads an endless one.

    Args:
        app: what comes behind.
        origins: the pages that may write: the gateway's own.
        unread: what the paths begin with whose routes take no body: what comes there is bounded and thrown away.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str], unread: str = "") -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._unread = unread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            _check_site(scope["method"], headers)
            if scope["method"] not in _READS:
                self._check_origin(headers)
                thrown_away = bool(self._unread) and route_path(scope).startswith(self._unread)
                receive = await (_drained_body if thrown_away else _checked_body)(headers, receive)
        except Problem as why:
            # Not `Connection: close`: what is still on its way of the body would reset it before the answer is read.
            # The server throws the rest away, and ends a connection on which it does not come soon.
            await problem(why.status, why.slug, why.detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_origin(self, headers: Headers) -> None:
        """Browsers send Origin with every write; programs send none."""
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in self._origins:
            raise _foreign()


def _check_site(method: str, headers: Headers) -> None:
    """A page of another site may link here, and neither write nor read nor embed anything (Fetch Metadata)."""
    if headers.get("sec-fetch-site", "") in _OWN_SITE:
        return
    linked = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if not (linked and method == "GET"):
        raise _foreign()


def _foreign() -> Problem:
    detail = "pages of other origins may not ask this gateway; set RESULTSTORE_GATEWAY_URL to its public URL"
    return Problem(HTTPStatus.FORBIDDEN, "cross-site", detail)


async def _drained_body(headers: Headers, receive: Receive) -> Receive:
    """No body, after the one that came."""
    _check_length(headers)
    await _read(receive)
    return _Replayed(b"", receive).receive


def _check_length(headers: Headers) -> None:
    said = headers.get("content-length", "0")
    if not said.isdecimal() or int(said[:12]) > MAX_BODY_BYTES:
        raise _too_large()


async def _checked_body(headers: Headers, receive: Receive) -> Receive:
    """The body, for whoever reads it behind: one message, and then whatever comes."""
    _check_length(headers)
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if (media_type and media_type != "application/json") or headers.get("content-encoding", "identity") != "identity":
        raise _wrong_type()
    body = await _read(receive)
    if body:
        if not media_type:
            raise _wrong_type()
        check_document(body)
    return _Replayed(body, receive).receive


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            while (message := await receive())["type"] == "http.request":
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
                if not message.get("more_body"):
                    break
    except TimeoutError as error:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "too-slow", "the body did not arrive in time") from error
    return bytes(body)


def check_document(body: bytes) -> None:
    """Raises Problem 422 for what is no JSON, is nested too deep, or holds our own marks or numbers beyond 64 bits."""
    try:
        ahead = [(msgspec.json.decode(body), 0)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "the body is not JSON") from error
    while ahead:
        one, depth = ahead.pop()
        if depth > MAX_DEPTH:
            detail = f"the body is nested deeper than {MAX_DEPTH} levels"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
        if isinstance(one, dict):
            if TYPE_KEY in one:
                detail = f"{TYPE_KEY} marks our own references: a request names an artifact by its result's id"
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "reference-not-allowed", detail)
            ahead += [(value, depth + 1) for value in one.values()]
        elif isinstance(one, list):
            ahead += [(value, depth + 1) for value in one]
        elif isinstance(one, int) and not _LEAST_INT <= one <= _LARGEST_INT:
            detail = "a whole number is larger than 64 bits hold: send it as text"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)


def _too_large() -> Problem:
    detail = f"a request's body has at most {MAX_BODY_BYTES} bytes: files go to /v1/uploads"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail)


def _wrong_type() -> Problem:
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "wrong-type", "send JSON, as Content-Type: application/json")


class _Replayed:
    """A body that was read already, as the server would have given it."""

    def __init__(self, body: bytes, behind: Receive) -> None:
        self._body: bytes | None = body
        self._behind = behind

    async def receive(self) -> Message:
        """The body at first, then what the server says: that the sender has gone."""
        body, self._body = self._body, None
        if body is None:
            return await self._behind()
        return {"type": "http.request", "body": body, "more_body": False}
