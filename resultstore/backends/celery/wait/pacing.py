"""PacedCallback: limits how often Celery's `on_interval` runs while a thread waits."""

import time
from collections.abc import Callable
from typing import Final

_INTERVAL_S: Final = 0.5


class PacedCallback:
    """Calls a function every half second, and after each failure.

    Celery's own callback raises the error of a parent, and looks up all parents one by one. At every event, that is
    thousands of look-ups for one chord.

    Args:
        called: the function.
        failures: returns how many failures this process has received so far.
    """

    def __init__(self, called: Callable[[], object], failures: Callable[[], int]) -> None:
        self._called = called
        self._count = failures
        self._failures = failures()
        self._next_at = time.monotonic() + _INTERVAL_S

    def __call__(self) -> None:
        """Call the function if it is due."""
        failures = self._count()
        if time.monotonic() >= self._next_at or self._failures != failures:
            self._failures = failures
            self._called()
            self._next_at = time.monotonic() + _INTERVAL_S
