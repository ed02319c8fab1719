"""WriteGuard: cross-site protection, and limits for request bodies."""

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resultstore.gateway.middleware.path_prefix import route_path
from resultstore.gateway.problems import Problem, problem_response
from resultstore.model.markers import TYPE_KEY

MAX_BODY_BYTES: Final = 1024 * 1024
BODY_LIMIT_S: Final = 10.0
MAX_DEPTH: Final = 32
_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1  # the range of MessagePack, in which an order is stored
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CHANGING_GETS: Final = "/s3/"  # Uppy begins an upload by a GET, which a link with a user's cookie must not do
_OWN_SITE: Final = frozenset({"", "same-origin", "none"})  # "none": typed into the address bar; "": not a browser


class WriteGuard:
    """ASGI middleware: refuse requests from pages of other sites, and bodies that are not small plain JSON.

    Bodies are read here completely, with a time limit, so that no route waits for a slow client or an endless body.

    Args:
        app: the next ASGI application.
        origins: the origins whose pages may write, besides that of the request: the gateway's own.
        unread: path prefix of routes that take no body: a body sent there is limited and discarded.
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
            _check_site(scope, headers)
            if scope["method"] not in _READS:
                self._check_origin(scope, headers)
                is_unread = bool(self._unread) and route_path(scope).startswith(self._unread)
                receive = await (_discard_body if is_unread else _check_body)(headers, receive)
        except Problem as why:
            # Not `Connection: close`: the rest of the body would reset the connection before the client has read the
            # response. The server discards the rest, and closes the connection if it does not arrive soon.
            await problem_response(why.status, why.slug, why.detail)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Refuse a foreign Origin. Browsers send Origin with every write; other clients send none.

        The origin that the request itself was sent to is not foreign: a gateway inside another server does not know
        that server's port. `HostGuard` has checked the Host before.
        """
        origin = headers.get("origin")
        own = f"{scope['scheme']}://{headers.get('host', '')}".lower()
        if origin is not None and origin.lower() not in self._origins and origin.lower() != own:
            raise _cross_site()


def _check_site(scope: Scope, headers: Headers) -> None:
    """Refuse requests from pages of other sites, except following a link to here (Fetch Metadata)."""
    if headers.get("sec-fetch-site", "") in _OWN_SITE:
        return
    linked = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if not (linked and scope["method"] == "GET" and not route_path(scope).startswith(_CHANGING_GETS)):
        raise _cross_site()


def _cross_site() -> Problem:
    detail = "pages of other origins may not use this gateway; the operator sets RESULTSTORE_GATEWAY_URL to its own URL"
    return Problem(HTTPStatus.FORBIDDEN, "cross-site", detail)


async def _discard_body(headers: Headers, receive: Receive) -> Receive:
    """Read and discard the body; the route receives an empty one."""
    _check_length(headers)
    await _read(receive)
    return _Replayed(b"", receive).receive


def _check_length(headers: Headers) -> None:
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:12]) > MAX_BODY_BYTES:
        raise _too_large()


async def _check_body(headers: Headers, receive: Receive) -> Receive:
    """Read and check the body; the route receives it as one message."""
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
    """Raise Problem 422 unless the body is JSON without deep nesting, reference marks and numbers beyond 64 bits."""
    try:
        pending = [(msgspec.json.decode(body), 0)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "the body is not JSON") from error
    while pending:
        one, depth = pending.pop()
        if depth > MAX_DEPTH:
            detail = f"the body is nested deeper than {MAX_DEPTH} levels"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
        if isinstance(one, dict):
            if TYPE_KEY in one:
                detail = f"{TYPE_KEY} is reserved for references: name an artifact by the id of its result instead"
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "reference-not-allowed", detail)
            pending += [(value, depth + 1) for value in one.values()]
        elif isinstance(one, list):
            pending += [(value, depth + 1) for value in one]
        elif isinstance(one, int) and not _MIN_INT <= one <= _MAX_INT:
            detail = "a whole number does not fit into 64 bits: send it as a string"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)


def _too_large() -> Problem:
    detail = f"a request body has at most {MAX_BODY_BYTES} bytes: upload files with POST /v1/uploads"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", detail)


def _wrong_type() -> Problem:
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "wrong-type", "send JSON with Content-Type: application/json")


class _Replayed:
    """An ASGI `receive` that returns a body that was already read."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def receive(self) -> Message:
        """Return the body first, then the messages of the server, such as a disconnect."""
        body, self._body = self._body, None
        if body is None:
            return await self._receive()
        return {"type": "http.request", "body": body, "more_body": False}
