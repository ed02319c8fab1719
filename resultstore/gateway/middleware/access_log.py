"""AccessLog: one log line, one id and one count per request, without its query string, which holds signatures."""

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
# Ids of clients that may be written to logs and headers: a newline or a quote could forge a line of either.
_SAFE_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{7,127}\Z")
Observe = Callable[[Scope, int, float], None]


class AccessLog:
    """ASGI middleware: give each request an id, log it and count it.

    The client's `X-Request-ID` is kept if it is 8 to 128 letters, digits and `._:-`. The response and every log line
    during the request carry the id.

    Args:
        app: the next ASGI application.
        listener: the listener's name in the log.
        observe: called for each request with its status and the seconds until its response started.
    """

    def __init__(self, app: ASGIApp, *, listener: str, observe: Observe | None = None) -> None:
        self._app = app
        self._listener = listener
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log it when the response is complete."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status, sent_bytes, started, response_start_s = 0, 0, time.monotonic(), 0.0

        async def send_and_count(message: Message) -> None:
            nonlocal status, sent_bytes, response_start_s
            if message["type"] == "http.response.start":
                status, response_start_s = int(message["status"]), time.monotonic() - started
                message = {**message, "headers": [*message.get("headers", ()), (REQUEST_ID, request_id)]}
            sent_bytes += len(message.get("body", b""))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id.decode()):
            try:
                await self._app(scope, receive, send_and_count)
            finally:
                seconds = time.monotonic() - started
                if self._observe is not None:
                    self._observe(scope, status, response_start_s or seconds)
                self._log_request(scope, status, sent_bytes=sent_bytes, seconds=seconds)

    def _log_request(self, scope: Scope, status: int, *, sent_bytes: int, seconds: float) -> None:
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
    """Return the client's id if it is safe to repeat, else a new one."""
    values = [bytes(value) for name, value in scope["headers"] if name == REQUEST_ID]
    if len(values) == 1 and _SAFE_ID.match(values[0]):
        return values[0]
    return uuid.uuid4().hex.encode()
