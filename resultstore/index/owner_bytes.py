"""Room: how many bytes each owner has in the object store, and how many may still come."""

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
    """What one process keeps of an owner: id -> (end by `time.monotonic`, bytes)."""

    coming: dict[str, tuple[float, int]]
    stored: dict[str, tuple[float, int]]


class OwnerBytes:
    """Bytes by owner and id, each step atomic over all processes that share an index.

    An index that runs no scripts serves one process alone, so the bytes are counted in that process.

    Args:
        index: where they are counted. Every method raises IndexUnavailable when it cannot be reached.
    """

    def __init__(self, index: Index) -> None:
        self._scripts = index.keys if isinstance(index.keys, ScriptRunner) else None
        self._here: dict[str, _OwnerTotals] = {}
        self._lock = threading.Lock()

    def expect(self, owner: str, id: str, *, size_bytes: int, ttl_s: float, most_bytes: int = NO_LIMIT) -> bool:
        """Count bytes that may come within `ttl_s`; False, and nothing is counted, beyond `most_bytes` of the owner.

        Expecting the same id again counts once.
        """
        return self._step("come", owner, id, life_s=ttl_s, size_bytes=size_bytes, most_bytes=most_bytes)[0]

    def store(self, owner: str, id: str, *, size_bytes: int, ttl_s: float | None) -> None:
        """Count bytes as stored for `ttl_s` (None: until they are forgotten); nothing more comes of this id."""
        self._step("store", owner, id, life_s=ttl_s, size_bytes=size_bytes)

    def drop_expected(self, owner: str, id: str) -> None:
        """Nothing comes of this id any more."""
        self._step("drop", owner, id)

    def forget(self, owner: str, id: str) -> None:
        """Nothing of this id is stored any more."""
        self._step("forget", owner, id)

    def total_bytes(self, owner: str) -> int:
        """What is stored and what may come."""
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
        said = [what, id, life_ms, str(size_bytes), str(most_bytes)]
        keys = [layout.quota_key(owner, kind) for kind in _KINDS]
        done, total = cast("list[int]", self._scripts.run_script(_SCRIPT, keys=keys, args=said))
        return done == 1, total

    def _step_here(
        self, what: str, owner: str, id: str, *, life_s: float | None, size_bytes: int, most_bytes: int
    ) -> tuple[bool, int]:
        """What `room.lua` does."""
        end = math.inf if life_s is None else time.monotonic() + life_s
        with self._lock:
            held = self._living(owner)
            if what == "come" and 0 <= most_bytes < _total(held, without=id) + size_bytes:
                return False, _total(held)
            if what == "come":
                held.coming[id] = (end, size_bytes)
            if what == "forget" or (what == "store" and not size_bytes):
                held.stored.pop(id, None)
            elif what == "store":
                held.stored[id] = (end, size_bytes)
            if what in {"store", "drop"}:
                held.coming.pop(id, None)
            return True, _total(held)

    def _living(self, owner: str) -> _OwnerTotals:
        now = time.monotonic()
        held = self._here.setdefault(owner, _OwnerTotals({}, {}))
        held.coming = {name: one for name, one in held.coming.items() if one[0] > now}
        held.stored = {name: one for name, one in held.stored.items() if one[0] > now}
        return held


def _total(held: _OwnerTotals, *, without: str = "") -> int:
    """Of an id that is stored and may come as well, the larger one counts: both never exist at once."""
    ids = (held.coming.keys() | held.stored.keys()) - {without}
    nothing = (0.0, 0)
    return sum(max(held.coming.get(one, nothing)[1], held.stored.get(one, nothing)[1]) for one in ids)
