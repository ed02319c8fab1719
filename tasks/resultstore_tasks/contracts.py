"""Contracts of the pure functions that do the tasks' work, apart from their input."""

from collections.abc import Callable
from typing import Protocol

ReportProgress = Callable[[float, float, str], None]
"""Reports progress: `report(done, total, note)`. `Store.progress` is one."""


class Sink(Protocol):
    """Output that is written once from front to back, so that it may be a pipe."""

    def write(self, data: bytes, /) -> int:
        """Write all of `data`."""


def silent(done: float, total: float = 0, note: str = "") -> None:
    """Discard a progress report."""
