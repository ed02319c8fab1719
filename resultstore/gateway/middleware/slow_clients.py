"""SlowClientProtocol: time and size limits for requests, which uvicorn does not have (slowloris protection)."""

import asyncio
from enum import Enum, auto
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from resultstore.gateway.middleware.connection_limit import ConnectionLimit

HEAD_LIMIT_S: Final = 10.0
IDLE_LIMIT_S: Final = 5.0  # uvicorn's own limit, which any byte between two requests would end
HEAD_MAX_BYTES: Final = 64 * 1024  # similar to the limits of nginx and Apache for all headers
# As in Apache's mod_reqtimeout: this time for a body, extended by what has arrived.
BODY_LIMIT_S: Final = 30.0
BODY_MIN_BYTES_PER_S: Final = 8 * 1024
ANSWERED_LIMIT_S: Final = 2.0  # for the rest of a body after the response
TRAILERS_MAX_BYTES: Final = 8 * 1024
# Allowed overhead of chunked encoding: a chunk of one byte takes six.
FRAMING_MAX_BYTES: Final = 128 * 1024
FRAMING_PER_BYTE: Final = 8


class _Awaited(Enum):
    """What the client must send next; NOTHING while a response is being produced."""

    HEAD = auto()
    BODY = auto()
    REQUEST = auto()  # the next request on a keep-alive connection
    NOTHING = auto()


class SlowClientProtocol(HttpToolsProtocol):
    """Closes a connection whose request is too slow or too large, or whose address has too many connections.

    Each request has one deadline from its first byte to its last, whether or not the application reads it.

    Args:
        connections: counts the connections; None for no limit. The other arguments are uvicorn's.
    """

    def __init__(self, *args: Any, connections: ConnectionLimit | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._connections = connections
        self._address: str | None = None
        self._awaited = _Awaited.NOTHING
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = self._body_bytes = self._received_bytes = self._trailer_bytes = 0
        self._body_started_at = 0.0
        self._in_trailers = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head, or close the connection if its address has too many."""
        if self._connections is not None:
            address = _peer(transport)
            if not self._connections.take(address):
                self.transport = transport
                transport.abort()
                return
            self._address = address
        super().connection_made(transport)
        self._expect(_Awaited.HEAD, HEAD_LIMIT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        self._cancel_deadline()
        if self._connections is not None:
            if self._address is None:  # refused, so never counted
                return
            self._connections.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the received bytes against the limit of the awaited part."""
        super().data_received(data)
        if self._awaited is _Awaited.BODY:
            self._received_bytes += len(data)
            framing_bytes = self._received_bytes - self._body_bytes
            if framing_bytes > FRAMING_MAX_BYTES + FRAMING_PER_BYTE * self._body_bytes:
                self.transport.abort()
            elif self._deadline is None:
                self._expect(_Awaited.BODY, BODY_LIMIT_S)
        elif self._awaited is not _Awaited.NOTHING:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """Wait for the rest of a head; the wait for a connection's first head has already started."""
        super().on_message_begin()
        if self._awaited is not _Awaited.HEAD:
            self._expect(_Awaited.HEAD, HEAD_LIMIT_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Drop trailers, since they arrive after the headers were checked."""
        if self._awaited is not _Awaited.BODY:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value)
        if self._trailer_bytes > TRAILERS_MAX_BYTES:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """Wait for a body; its deadline starts if it did not arrive with the head."""
        self._cancel_deadline()
        self._awaited = _Awaited.BODY
        self._body_bytes = self._received_bytes = self._trailer_bytes = 0
        self._body_started_at = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for nothing while the response is produced."""
        self._cancel_deadline()
        super().on_message_complete()
        if self.cycle.response_complete:
            self._expect(_Awaited.REQUEST, IDLE_LIMIT_S)

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the rest of this one's unread body."""
        super().on_response_complete()
        if self.transport.is_closing() or not self.cycle.response_complete:
            return
        if self._awaited is _Awaited.BODY:
            self._expect(_Awaited.BODY, ANSWERED_LIMIT_S)
        elif self._awaited is _Awaited.NOTHING:
            self._expect(_Awaited.REQUEST, IDLE_LIMIT_S)

    def _expect(self, awaited: _Awaited, limit_s: float) -> None:
        self._cancel_deadline()
        self._awaited = awaited
        if awaited is not _Awaited.BODY:
            self._head_bytes = 0
        self._deadline = self.loop.call_later(limit_s, self._on_deadline)

    def _cancel_deadline(self) -> None:
        self._awaited = _Awaited.NOTHING
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        responded = self.cycle is not None and self.cycle.response_complete
        if self._awaited is _Awaited.REQUEST or (self._awaited is _Awaited.BODY and responded):
            self.transport.close()  # after the rest of the response was sent
            return
        if self._awaited is _Awaited.BODY:
            allowed_s = BODY_LIMIT_S + self._body_bytes / BODY_MIN_BYTES_PER_S
            left_s = allowed_s - (self.loop.time() - self._body_started_at)
            if self.flow.read_paused:  # the application does not read: its store may be slow
                left_s = max(left_s, BODY_LIMIT_S)
            if left_s > 0:
                self._expect(_Awaited.BODY, left_s)
                return
        self.transport.abort()


def _peer(transport: asyncio.Transport) -> str:
    """Return the peer's address; "" for a Unix socket and for a peer that has disconnected."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
