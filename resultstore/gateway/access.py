"""Access: one log line a request, without its query string, where signatures stand."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger(__name__)


class AccessLog:
    """ASGI middleware that logs method, path, status, bytes sent and milliseconds."""

    def __init__(self, app: ASGIApp, *, listener: str) -> None:
        self._app = app
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log it when its answer is complete."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, sent_bytes, began = 0, 0, time.monotonic()

        async def watched(message: Message) -> None:
            nonlocal status, sent_bytes
            status = int(message.get("status", status))
            sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            ms = round(1000 * (time.monotonic() - began), 1)
            _log.info(
                "request",
                listener=self._listener,
                method=scope["method"],
                path=scope["path"],
                status=status,
                sent_bytes=sent_bytes,
                ms=ms,
            )
