"""Mailbox: the Events of one id that its waiter has not taken yet; every driver's `Watch`."""

import threading
from collections import deque
from typing import Final

from resultstore.model.event import Event

_KEPT_EVENTS: Final = 256  # events are hints: a waiter that sleeps through more than these only misses old ones


class Mailbox:
    """Filled by a driver from any thread, emptied by the waiter that holds it."""

    def __init__(self) -> None:
        self._events: deque[Event | None] = deque(maxlen=_KEPT_EVENTS)
        self._filled = threading.Condition()

    def put(self, event: Event | None) -> None:
        """Hand over an Event, or None for "something may have been missed: check again"."""
        with self._filled:
            self._events.append(event)
            self._filled.notify()

    def wait(self, timeout_s: float) -> Event | None:
        """The next Event; None when none came in `timeout_s` seconds, or when the waiter must check again."""
        with self._filled:
            self._filled.wait_for(lambda: bool(self._events), max(0.0, timeout_s))
            return self._events.popleft() if self._events else None
