"""MissCache: ids that were recently not found, so that polling them does not ask the object store each time."""

import random
import time
from collections import OrderedDict
from threading import Lock

MISS_FIRST_S = 2.0
MISS_LONGEST_S = 60.0
MISSES_KEPT = 10_000


class MissCache:
    """Remembers ids that were not found, each for 2, 4, ... 60 s with jitter, in this process only."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, tuple[float, float, bool]] = OrderedDict()
        self._lock = Lock()

    def is_missing(self, result_id: str) -> bool:
        """Return True if this id was recently not found."""
        until, *_ = self._until.get(result_id, (0.0, 0.0))
        return time.monotonic() < until

    def is_deleted(self, result_id: str) -> bool:
        """Return True if a tombstone was found for this id; nothing ever replaces a tombstone."""
        *_, deleted = self._until.get(result_id, (False,))
        return bool(deleted)

    def remember(self, result_id: str, *, deleted: bool) -> None:
        """Remember that this id was not found, for twice as long as the last time."""
        with self._lock:
            _, last_s, _ = self._until.pop(result_id, (0.0, MISS_FIRST_S / 2, False))
            length_s = min(MISS_LONGEST_S, last_s * 2)
            jittered_s = length_s * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, not a secret
            self._until[result_id] = (time.monotonic() + jittered_s, length_s, deleted)
            while len(self._until) > MISSES_KEPT:
                self._until.popitem(last=False)
