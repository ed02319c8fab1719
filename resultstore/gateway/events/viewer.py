"""Viewer: one open event stream and its queue of unsent messages."""

import asyncio
import time
from collections import deque
from typing import Final

from resultstore.gateway.events.messages import HEARTBEAT, RESET, SseMessage, StreamPosition

# A client whose queue exceeds either is disconnected; it reconnects with Last-Event-ID and gets what it missed.
QUEUE_MESSAGES: Final = 512
QUEUE_BYTES: Final = 1024 * 1024
HEARTBEAT_S: Final = 15.0
STUCK_S: Final = 30.0  # how long one chunk may take to be sent
_CHANGES_MISSED: Final = b""


class Viewer:
    """Belongs to one event loop.

    Args:
        owners: the owners whose Events it receives: the caller, and "" for Results without an owner.
    """

    def __init__(self, owners: tuple[str, ...]) -> None:
        self.owners = owners
        self._queue: deque[SseMessage] = deque()
        self._queue_bytes = 0
        self._filled = asyncio.Event()
        self._skipped_until: StreamPosition | None = None
        self._taken_at = time.monotonic()
        self._taken = True
        self.ended = False  # end the stream cleanly: the gateway stops
        self.sending: asyncio.Task[None] | None = None  # the task that `drop` cancels
        self.dropped = False  # cut the stream: its client is too slow

    def begin(self, position: StreamPosition | None) -> None:
        """Skip messages up to this stream position: the snapshot or the replay holds them."""
        self._skipped_until = position

    def put(self, message: SseMessage) -> None:
        """Queue a message; drop the stream when the queue exceeds its limits."""
        self._queue.append(message)
        self._queue_bytes += len(message.message)
        if len(self._queue) > QUEUE_MESSAGES or self._queue_bytes > QUEUE_BYTES:
            self.drop()
        self._filled.set()

    def drop(self) -> None:
        """Cut the stream; queued messages are not sent."""
        self.dropped = True
        self._filled.set()
        if self.sending is not None:
            self.sending.cancel()

    def end(self) -> None:
        """End the stream cleanly."""
        self.ended = True
        self._filled.set()

    def tick(self, now: float) -> None:
        """Send a heartbeat on an idle stream, drop a stuck one. Called about once a second."""
        if not self._taken and now - self._taken_at > STUCK_S:
            self.drop()
        elif self._taken and now - self._taken_at > HEARTBEAT_S:
            self.put(SseMessage("", None, HEARTBEAT))

    async def take(self) -> bytes:
        """Wait for messages and return them as one chunk: RESET if changes were missed, b"" at the stream's end."""
        self._taken, self._taken_at = True, time.monotonic()
        while not self._queue and not self.ended and not self.dropped:
            self._filled.clear()
            await self._filled.wait()
        self._taken, self._taken_at = False, time.monotonic()
        if self.ended or self.dropped:
            return b""
        messages, self._queue, self._queue_bytes = self._queue, deque(), 0
        if any(message.message == _CHANGES_MISSED for message in messages):
            return RESET
        chunk = b"".join(message.message for message in messages if self._is_new(message))
        return chunk or await self.take()

    def _is_new(self, message: SseMessage) -> bool:
        return message.position is None or self._skipped_until is None or message.position > self._skipped_until
