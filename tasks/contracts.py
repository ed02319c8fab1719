"""Contracts: what a pure function is given beside its input."""

from collections.abc import Callable
from typing import Protocol

Report = Callable[[float, float, str], None]
"""How a function tells how far it is: `report(done, total, note)`; `Store.progress` is one."""


class Sink(Protocol):
    """Where output goes: written once from front to back, so that it may be a pipe."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`."""


def silent(done: float, total: float = 0, note: str = "") -> None:
    """The Report that tells nobody."""
