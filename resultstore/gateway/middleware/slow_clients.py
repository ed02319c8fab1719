"""Patience: how long, and how much, a sender may take to say what they want: uvicorn itself waits for ever."""

import asyncio
from enum import Enum, auto
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from resultstore.gateway.middleware.connection_limit import ConnectionLimit

HEAD_LIMIT_S: Final = 10.0
IDLE_LIMIT_S: Final = 5.0  # uvicorn's own, which any byte between two requests would end
HEAD_MAX_BYTES: Final = 64 * 1024  # nginx and Apache allow less for a line, and about as much for all of them
# As mod_reqtimeout of Apache: so long for a body, and longer by what has arrived of it.
BODY_LIMIT_S: Final = 30.0
BODY_MIN_BYTES_PER_S: Final = 8 * 1024
ANSWERED_LIMIT_S: Final = 2.0  # for the rest of a body that nobody reads any more
TRAILERS_MAX_BYTES: Final = 8 * 1024
# What chunked encoding may cost beyond the body: a chunk of one byte takes six.
FRAMING_MAX_BYTES: Final = 128 * 1024
FRAMING_PER_BYTE: Final = 8


class _Awaited(Enum):
    """What a connection owes next; nothing while an answer is being made."""

    HEAD = auto()
    BODY = auto()
    REQUEST = auto()  # the next one, on a connection that is kept
    NOTHING = auto()


class SlowClientProtocol(HttpToolsProtocol):
    """Closes a connection whose request does not come in time, or does not end; and one too many of an address.

    Each request has one deadline from its first byte to its last, whether the application reads it or not.

    Args:
        connections: counts them; None for no limit. The others are uvicorn's.
    """

    def __init__(self, *said: Any, connections: ConnectionLimit | None = None, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*said, **named)
        self._counted = connections
        self._address: str | None = None
        self._awaited = _Awaited.NOTHING
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = self._body_bytes = self._received_bytes = self._trailer_bytes = 0
        self._body_began = 0.0
        self._in_trailers = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect the first head, unless its address has too many connections."""
        if self._counted is not None:
            address = _peer(transport)
            if not self._counted.take(address):
                self.transport = transport
                transport.abort()
                return
            self._address = address
        super().connection_made(transport)
        self._expect(_Awaited.HEAD, HEAD_LIMIT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._settle()
        if self._counted is not None:
            if self._address is None:  # it was never taken
                return
            self._counted.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what arrives against the limits of what is awaited."""
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
        """Expect the rest of a head; the first is expected since the connection was made."""
        super().on_message_begin()
        if self._awaited is not _Awaited.HEAD:
            self._expect(_Awaited.HEAD, HEAD_LIMIT_S)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Drop trailers: they come after everything that has looked at the headers."""
        if self._awaited is not _Awaited.BODY:
            super().on_header(name, value)
            return
        self._trailer_bytes += len(name) + len(value)
        if self._trailer_bytes > TRAILERS_MAX_BYTES:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """Expect a body; its deadline begins when it has not come with the head."""
        self._settle()
        self._awaited = _Awaited.BODY
        self._body_bytes = self._received_bytes = self._trailer_bytes = 0
        self._body_began = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the bytes of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect nothing while the answer is made."""
        self._settle()
        super().on_message_complete()
        if self.cycle.response_complete:
            self._expect(_Awaited.REQUEST, IDLE_LIMIT_S)

    def on_response_complete(self) -> None:
        """Expect the next request, or the end of this one, which nobody reads any more."""
        super().on_response_complete()
        if self.transport.is_closing() or not self.cycle.response_complete:
            return
        if self._awaited is _Awaited.BODY:
            self._expect(_Awaited.BODY, ANSWERED_LIMIT_S)
        elif self._awaited is _Awaited.NOTHING:
            self._expect(_Awaited.REQUEST, IDLE_LIMIT_S)

    def _expect(self, awaited: _Awaited, limit_s: float) -> None:
        self._settle()
        self._awaited = awaited
        if awaited is not _Awaited.BODY:
            self._head_bytes = 0
        self._deadline = self.loop.call_later(limit_s, self._expired)

    def _settle(self) -> None:
        self._awaited = _Awaited.NOTHING
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expired(self) -> None:
        self._deadline = None
        answered = self.cycle is not None and self.cycle.response_complete
        if self._awaited is _Awaited.REQUEST or (self._awaited is _Awaited.BODY and answered):
            self.transport.close()  # what is still to be sent of the answer is sent
            return
        if self._awaited is _Awaited.BODY:
            allowed_s = BODY_LIMIT_S + self._body_bytes / BODY_MIN_BYTES_PER_S
            left_s = allowed_s - (self.loop.time() - self._body_began)
            if self.flow.read_paused:  # it is the application that does not read: its store may be slow
                left_s = max(left_s, BODY_LIMIT_S)
            if left_s > 0:
                self._expect(_Awaited.BODY, left_s)
                return
        self.transport.abort()


def _peer(transport: asyncio.Transport) -> str:
    """Return the peer's address; "" for a Unix socket, and for a peer that is gone already."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
