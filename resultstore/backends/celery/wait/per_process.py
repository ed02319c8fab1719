"""PerProcess: an object that each process makes for itself, so that a fork shares no connection with its parent."""

import os
from collections.abc import Callable
from typing import Generic, TypeVar

Made = TypeVar("Made")


class PerProcess(Generic[Made]):
    """Holds one object for each process. A fork is noticed by its process id: plain `os.fork` calls no hook of Celery.

    Args:
        make: makes the object, at its first use in a process.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._made: dict[int, Made] = {}

    def get(self) -> Made:
        """Return the object of this process."""
        return self.peek() or self._made.setdefault(os.getpid(), self._make())

    def peek(self) -> Made | None:
        """Return the object of this process, or None where it has not been made."""
        return self._made.get(os.getpid())

    def pop(self) -> Made | None:
        """Return the object of this process and forget it."""
        return self._made.pop(os.getpid(), None)
