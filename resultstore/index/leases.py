"""Leases: bounded, expiring membership, counted across all processes of an index."""

import threading
import time
from collections.abc import Mapping
from importlib import resources
from typing import Final, cast

from resultstore.index.index import Index, ScriptRunner

_SCRIPT: Final = resources.files("resultstore.index").joinpath("lease.lua").read_text(encoding="utf-8")


class Leases:
    """Members of named sets, each with an expiry and a weight.

    An index without scripts serves a single process, so the leases are kept in that process.

    Args:
        index: stores the leases. Every method raises IndexUnavailable when it cannot be reached.
    """

    def __init__(self, index: Index) -> None:
        self._scripts = index.keys if isinstance(index.keys, ScriptRunner) else None
        self._local: dict[str, dict[str, tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, member: str, *, ttl_s: float, most: int, weight: int = 0) -> bool:
        """Make `member` one of at most `most` for `ttl_s`, and return whether it is. Taking again renews the lease."""
        if self._scripts is not None:
            return self._run(key, "take", member, int(ttl_s * 1000), weight, most) == [1]
        with self._lock:
            held = self._living(key)
            if member not in held and len(held) >= most:
                return False
            held[member] = (time.monotonic() + ttl_s, weight)
            return True

    def release(self, key: str, member: str) -> None:
        """End the lease of `member`. Do nothing if it has none."""
        if self._scripts is not None:
            self._run(key, "leave", member)
            return
        with self._lock:
            self._living(key).pop(member, None)

    def members(self, key: str) -> Mapping[str, int]:
        """Return the present members with their weights. Entries of other programs are left out."""
        if self._scripts is None:
            with self._lock:
                return {member: weight for member, (_, weight) in self._living(key).items()}
        answer = iter(cast("list[bytes]", self._run(key, "look")))
        pairs = (_decoded(member, weight) for member, weight in zip(answer, answer, strict=True))
        return dict(pair for pair in pairs if pair is not None)

    def _run(self, key: str, *args: str | int) -> list[object]:
        assert self._scripts is not None
        padded = [str(one) for one in args] + [""] * (5 - len(args))
        return self._scripts.run_script(_SCRIPT, keys=[key, key + ":weights"], args=padded)

    def _living(self, key: str) -> dict[str, tuple[float, int]]:
        now = time.monotonic()
        living = {member: one for member, one in self._local.get(key, {}).items() if one[0] > now}
        self._local[key] = living
        if not living:
            self._local = {name: held for name, held in self._local.items() if held or name == key}
        return living


def _decoded(member: bytes, weight: bytes) -> tuple[str, int] | None:
    """Return a member with its weight; None for a damaged entry, so that the others are still returned."""
    try:
        return member.decode(), int(weight)
    except ValueError:  # UnicodeDecodeError is one
        return None
