"""Inbox: the Events that one waiter has not read yet."""

import threading
from collections import deque
from typing import Final, Generic, TypeVar

from resultstore.model.event import Event

_SIZE: Final = 256  # Events are hints: a waiter that misses more than these only misses old ones

_Message = TypeVar("_Message")


class Inbox(Generic[_Message]):
    """A bounded queue, filled by a driver from any thread and read by one waiter.

    Args:
        size: the maximum number of messages; the oldest are dropped.
    """

    def __init__(self, *, size: int = _SIZE) -> None:
        self._messages: deque[_Message | None] = deque(maxlen=size)
        self._filled = threading.Condition()

    def put(self, message: _Message | None) -> None:
        """Add a message, or None for "an Event may have been missed: load the record again"."""
        with self._filled:
            self._messages.append(message)
            self._filled.notify()

    def wait(self, timeout_s: float) -> _Message | None:
        """Return the next message; None after `timeout_s`, or if the waiter must load the record again."""
        with self._filled:
            self._filled.wait_for(lambda: bool(self._messages), max(0.0, timeout_s))
            return self._messages.popleft() if self._messages else None


class EventInbox(Inbox[Event]):
    """The Events of one id."""
