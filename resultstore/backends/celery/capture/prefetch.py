"""Prefetcher: fetches a value while its attempt is still being sealed, so that it is there when the seal is."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from resultstore.model.spill import Spill

_LARGEST_BYTES: Final = 4 << 20  # 8 MiB gain nothing: a seal is written while 1 or 2 MiB are fetched


class _PendingValue:
    """A value that a thread of this process fetches."""

    def __init__(self, spill: Spill) -> None:
        self.spill = spill
        self.process = os.getpid()  # a fork has the Future, but no thread that will fill it
        self.value: Future[object] = Future()

    @property
    def under_way(self) -> bool:
        return self.process == os.getpid() and not self.value.done()


class Prefetcher:
    """Fetches one value ahead in a short-lived thread; the next value replaces it.

    A value is returned only to a caller whose record says that this very value is the result.

    Args:
        fetch: returns the value of a reference.
    """

    def __init__(self, fetch: Callable[[Spill], object]) -> None:
        self._fetch_value = fetch
        self._pending: dict[str, _PendingValue] = {}  # by key; one at most: `pop` gives it to one thread alone

    def begin(self, spill: Spill) -> None:
        """Begin to fetch the value of `spill`, unless it is too large or another value is being fetched."""
        if spill.size_bytes > _LARGEST_BYTES or any(one.under_way for one in list(self._pending.values())):
            return
        pending = _PendingValue(spill)
        try:
            threading.Thread(target=self._fetch, args=[pending], name="resultstore-prefetch").start()
        except RuntimeError:  # no thread can be started: the value is fetched when it is read
            return
        self._pending = {spill.key: pending}

    def take(self, value: object) -> object:
        """Return the value of a reference if it was fetched; else the reference, whose reader reports any error."""
        pending = self._pending.pop(value.key, None) if isinstance(value, Spill) else None
        if pending is None or pending.spill != value or pending.process != os.getpid() or pending.value.exception():
            return value
        return pending.value.result()

    def _fetch(self, pending: _PendingValue) -> None:
        try:
            pending.value.set_result(self._fetch_value(pending.spill))
        except BaseException as error:  # noqa: BLE001 - the waiter must not wait without end; the reader gets the error again
            pending.value.set_exception(error)
