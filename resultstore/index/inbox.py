"""Mailbox: what one waiter has not taken yet; every driver's `Watch`, over Events."""

import threading
from collections import deque
from typing import Final, Generic, TypeVar

from resultstore.model.event import Event

_KEPT: Final = 256  # events are hints: a waiter that sleeps through more than these only misses old ones

_Word = TypeVar("_Word")


class Inbox(Generic[_Word]):
    """Filled by a driver from any thread, emptied by the waiter that holds it.

    Args:
        kept: how many it holds; the oldest go first.
    """

    def __init__(self, *, kept: int = _KEPT) -> None:
        self._letters: deque[_Word | None] = deque(maxlen=kept)
        self._filled = threading.Condition()

    def put(self, letter: _Word | None) -> None:
        """Hand one over, or None for "something may have been missed: check again"."""
        with self._filled:
            self._letters.append(letter)
            self._filled.notify()

    def wait(self, timeout_s: float) -> _Word | None:
        """The next one; None when none came in `timeout_s` seconds, or when the waiter must check again."""
        with self._filled:
            self._filled.wait_for(lambda: bool(self._letters), max(0.0, timeout_s))
            return self._letters.popleft() if self._letters else None


class EventInbox(Inbox[Event]):
    """The Events of one id."""
