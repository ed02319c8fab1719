"""OwnerByteCounts: how many bytes each owner has stored, and how many are reserved for uploads and running work."""

import math
import threading
import time
from importlib import resources
from typing import Final, cast

import msgspec

from resultstore.index.index import Index, ScriptRunner
from resultstore.model import layout

_SCRIPT: Final = resources.files("resultstore.index").joinpath("owner_bytes.lua").read_text(encoding="utf-8")
_KINDS: Final = ("coming", "coming:bytes", "kept", "kept:bytes")
NO_LIMIT: Final = -1


class _OwnerTotals(msgspec.Struct):
    """The counts of one owner in this process: id -> (end by `time.monotonic`, bytes)."""

    reserved: dict[str, tuple[float, int]]
    stored: dict[str, tuple[float, int]]


class OwnerByteCounts:
    """Bytes by owner and id, each step atomic across all processes of an index.

    An index without scripts serves a single process, so the bytes are counted in that process.

    Args:
        index: stores the counts. Every method raises IndexUnavailable when it cannot be reached.
    """

    def __init__(self, index: Index) -> None:
        self._scripts = index.keys if isinstance(index.keys, ScriptRunner) else None
        self._local: dict[str, _OwnerTotals] = {}
        self._lock = threading.Lock()

    def reserve(self, owner: str, id: str, *, size_bytes: int, ttl_s: float, most_bytes: int = NO_LIMIT) -> bool:
        """Reserve bytes for `ttl_s`. Return False, and reserve nothing, if the owner's total would exceed `most_bytes`.

        Reserving for the same id again counts once.
        """
        return self._step("come", owner, id, life_s=ttl_s, size_bytes=size_bytes, most_bytes=most_bytes)[0]

    def count_stored(self, owner: str, id: str, *, size_bytes: int, ttl_s: float | None) -> None:
        """Count bytes as stored for `ttl_s` (None: until `forget_stored`), and drop the reservation of this id."""
        self._step("store", owner, id, life_s=ttl_s, size_bytes=size_bytes)

    def drop_reservation(self, owner: str, id: str) -> None:
        """Drop the reservation of this id."""
        self._step("drop", owner, id)

    def forget_stored(self, owner: str, id: str) -> None:
        """Drop the count of this id, because its bytes are deleted."""
        self._step("forget", owner, id)

    def total_bytes(self, owner: str) -> int:
        """Return the sum of the stored and the reserved bytes."""
        return self._step("look", owner, "")[1]

    def _step(
        self,
        what: str,
        owner: str,
        id: str,
        *,
        life_s: float | None = 0.0,
        size_bytes: int = 0,
        most_bytes: int = NO_LIMIT,
    ) -> tuple[bool, int]:
        if self._scripts is None:
            return self._step_here(what, owner, id, life_s=life_s, size_bytes=size_bytes, most_bytes=most_bytes)
        life_ms = "" if life_s is None else str(max(1, int(life_s * 1000)))
        args = [what, id, life_ms, str(size_bytes), str(most_bytes)]
        keys = [layout.quota_key(owner, kind) for kind in _KINDS]
        done, total = cast("list[int]", self._scripts.run_script(_SCRIPT, keys=keys, args=args))
        return done == 1, total

    def _step_here(
        self, what: str, owner: str, id: str, *, life_s: float | None, size_bytes: int, most_bytes: int
    ) -> tuple[bool, int]:
        """Do what `owner_bytes.lua` does."""
        end = math.inf if life_s is None else time.monotonic() + life_s
        with self._lock:
            counts = self._living(owner)
            if what == "come" and 0 <= most_bytes < _total(counts, without=id) + size_bytes:
                return False, _total(counts)
            if what == "come":
                counts.reserved[id] = (end, size_bytes)
            if what == "forget" or (what == "store" and not size_bytes):
                counts.stored.pop(id, None)
            elif what == "store":
                counts.stored[id] = (end, size_bytes)
            if what in {"store", "drop"}:
                counts.reserved.pop(id, None)
            return True, _total(counts)

    def _living(self, owner: str) -> _OwnerTotals:
        now = time.monotonic()
        counts = self._local.setdefault(owner, _OwnerTotals({}, {}))
        counts.reserved = {name: one for name, one in counts.reserved.items() if one[0] > now}
        counts.stored = {name: one for name, one in counts.stored.items() if one[0] > now}
        return counts


def _total(counts: _OwnerTotals, *, without: str = "") -> int:
    """Return the sum. Of an id with stored and reserved bytes the larger number counts: both never exist at once."""
    ids = (counts.reserved.keys() | counts.stored.keys()) - {without}
    none = (0.0, 0)
    return sum(max(counts.reserved.get(one, none)[1], counts.stored.get(one, none)[1]) for one in ids)
