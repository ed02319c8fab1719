"""Prefetching: fetches a value while its attempt is still being sealed, so that it is there when it counts."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from resultstore.model.spill import Spill

_LARGEST_BYTES: Final = 4 << 20  # of 8 MiB nothing is gained: a seal is written in the time that one or two take


class _PendingValue:
    """A value that a thread of this process fetches."""

    def __init__(self, spill: Spill) -> None:
        self.spill = spill
        self.process = os.getpid()  # a fork has the Future, and no thread that will ever fill it
        self.value: Future[object] = Future()

    @property
    def under_way(self) -> bool:
        return self.process == os.getpid() and not self.value.done()


class Prefetcher:
    """Fetches one value ahead, by a thread for that time; the next one takes its place.

    What is fetched is given out to whoever was told, by a record, that this very value is the result.

    Args:
        opened: what one reference stands for.
    """

    def __init__(self, opened: Callable[[Spill], object]) -> None:
        self._opened = opened
        self._coming: dict[str, _PendingValue] = {}  # by key; one at most: `pop` gives it to one thread alone

    def begin(self, spill: Spill) -> None:
        """Begin to fetch what `spill` stands for, where it is not too long and nothing is being fetched."""
        if spill.size_bytes > _LARGEST_BYTES or any(one.under_way for one in list(self._coming.values())):
            return
        coming = _PendingValue(spill)
        try:
            threading.Thread(target=self._fetch, args=[coming], name="resultstore-prefetch").start()
        except RuntimeError:  # no thread is to be had: the value is read in its time
            return
        self._coming = {spill.key: coming}

    def taken(self, value: object) -> object:
        """What `value` stands for, where that was fetched; else `value`, and whoever reads it says what is wrong."""
        coming = self._coming.pop(value.key, None) if isinstance(value, Spill) else None
        if coming is None or coming.spill != value or coming.process != os.getpid() or coming.value.exception():
            return value
        return coming.value.result()

    def _fetch(self, coming: _PendingValue) -> None:
        try:
            coming.value.set_result(self._opened(coming.spill))
        except BaseException as error:  # noqa: BLE001 - whoever waits must not wait for ever; who reads meets it again
            coming.value.set_exception(error)
