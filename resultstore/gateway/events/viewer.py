"""Viewer: one open event stream, and what it has not been sent yet."""

import asyncio
import time
from collections import deque
from typing import Final

from resultstore.gateway.events.messages import HEARTBEAT, RESET, Place, SseMessage

# A reader who is behind by either is let go: he comes back with Last-Event-ID and gets what he has missed.
QUEUE_FRAMES: Final = 512
QUEUE_BYTES: Final = 1024 * 1024
HEARTBEAT_S: Final = 15.0
STUCK_S: Final = 30.0  # how long one piece may take to be sent
_BEGIN_ANEW: Final = b""


class Viewer:
    """Belongs to the event loop.

    Args:
        owners: whose Events he gets: his own; and "" for those of Results that nobody owns.
    """

    def __init__(self, owners: tuple[str, ...]) -> None:
        self.owners = owners
        self._waiting: deque[SseMessage] = deque()
        self._waiting_bytes = 0
        self._filled = asyncio.Event()
        self._known: Place | None = None
        self._took_at = time.monotonic()
        self._taken = True
        self.ended = False  # the stream is to end as it should: the gateway stops
        self.sending: asyncio.Task[None] | None = None  # what `drop` breaks off
        self.dropped = False  # the stream is to break off: its reader is too slow

    def begin(self, known: Place | None) -> None:
        """Leave out what stands at this place of the stream or before it: he has been sent that otherwise."""
        self._known = known

    def put(self, frame: SseMessage) -> None:
        """Queue a frame; too many of them end the stream."""
        self._waiting.append(frame)
        self._waiting_bytes += len(frame.message)
        if len(self._waiting) > QUEUE_FRAMES or self._waiting_bytes > QUEUE_BYTES:
            self.drop()
        self._filled.set()

    def drop(self) -> None:
        """Break off: what is queued is not sent any more."""
        self.dropped = True
        self._filled.set()
        if self.sending is not None:
            self.sending.cancel()

    def end(self) -> None:
        """End in good order."""
        self.ended = True
        self._filled.set()

    def tick(self, now: float) -> None:
        """Called about each second: keeps a quiet line alive, and gives up one that takes nothing."""
        if not self._taken and now - self._took_at > STUCK_S:
            self.drop()
        elif self._taken and now - self._took_at > HEARTBEAT_S:
            self.put(SseMessage("", None, HEARTBEAT))

    async def take(self) -> bytes:
        """All that waits, as one piece; RESET alone when something was missed; b"" when the stream is over."""
        self._taken, self._took_at = True, time.monotonic()
        while not self._waiting and not self.ended and not self.dropped:
            self._filled.clear()
            await self._filled.wait()
        self._taken, self._took_at = False, time.monotonic()
        if self.ended or self.dropped:
            return b""
        frames, self._waiting, self._waiting_bytes = self._waiting, deque(), 0
        if any(frame.message == _BEGIN_ANEW for frame in frames):
            return RESET
        piece = b"".join(frame.message for frame in frames if self._is_news(frame))
        return piece or await self.take()

    def _is_news(self, frame: SseMessage) -> bool:
        return frame.place is None or self._known is None or frame.place > self._known
