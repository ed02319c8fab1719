"""Access: one log line, one id and one count a request; never its query string, where signatures stand."""

import re
import time
import uuid
from collections.abc import Callable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resultstore.telemetry.logs import Log

_log = Log(__name__)

REQUEST_ID: Final = b"x-request-id"
# What others may have us write into logs and headers. A newline or a quote would forge a line of either.
_GOOD_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{7,127}\Z")

Observe = Callable[[Scope, int, float], None]


class AccessLog:
    """ASGI middleware that gives each request an id, logs it, and has it counted.

    The caller's `X-Request-ID` is kept when it is 8 to 128 letters, digits and `._:-`; the answer says which it was,
    and every log line that is written meanwhile carries it.

    Args:
        app: what answers.
        listener: its name in the log.
        observe: told of each request, its status and the seconds until its answer began.
    """

    def __init__(self, app: ASGIApp, *, listener: str, observe: Observe | None = None) -> None:
        self._app = app
        self._listener = listener
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log it when its answer is complete."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status, sent_bytes, began, begun_s = 0, 0, time.monotonic(), 0.0

        async def watched(message: Message) -> None:
            nonlocal status, sent_bytes, begun_s
            if message["type"] == "http.response.start":
                status, begun_s = int(message["status"]), time.monotonic() - began
                message = {**message, "headers": [*message.get("headers", ()), (REQUEST_ID, request_id)]}
            sent_bytes += len(message.get("body", b""))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            try:
                await self._app(scope, receive, watched)
            finally:
                seconds = time.monotonic() - began
                if self._observe is not None:
                    self._observe(scope, status, begun_s or seconds)
                self._told(scope, status, sent_bytes=sent_bytes, seconds=seconds)

    def _told(self, scope: Scope, status: int, *, sent_bytes: int, seconds: float) -> None:
        _log.info(
            "request",
            listener=self._listener,
            method=scope["method"],
            path=scope["path"],
            status=status,
            sent_bytes=sent_bytes,
            ms=round(1000 * seconds, 1),
        )


def _request_id(scope: Scope) -> bytes:
    """The caller's, if it may be repeated; else a new one."""
    given = [bytes(value) for name, value in scope["headers"] if name == REQUEST_ID]
    if len(given) == 1 and _GOOD_ID.match(given[0]):
        return given[0]
    return uuid.uuid4().hex.encode()
