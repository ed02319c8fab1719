"""Pacing: calls what Celery wants called while it waits, as often as that is of use."""

import time
from collections.abc import Callable
from typing import Final

_INTERVAL_S: Final = 0.5


class PacedCallback:
    """Calls on every half second, and when something has failed.

    Celery's own callback raises the error of a parent, and looks up all parents for it, one by one: at every event
    that is thousands of look-ups for one chord.

    Args:
        called: what to call.
        failures: gives how many failures this process has heard of so far.
    """

    def __init__(self, called: Callable[[], object], failures: Callable[[], int]) -> None:
        self._called = called
        self._count = failures
        self._failures = failures()
        self._next_at = time.monotonic() + _INTERVAL_S

    def __call__(self) -> None:
        """Call it, where it is time to."""
        failures = self._count()
        if time.monotonic() >= self._next_at or self._failures != failures:
            self._failures = failures
            self._called()
            self._next_at = time.monotonic() + _INTERVAL_S
