"""Leases: so many of a thing at a time, each for a while, counted over all processes that share an index."""

import threading
import time
from collections.abc import Mapping
from importlib import resources
from typing import Final, cast

from resultstore.index.index import Index, ScriptRunner

_SCRIPT: Final = resources.files("resultstore.index").joinpath("lease.lua").read_text(encoding="utf-8")


class Leases:
    """Members of named sets, each with an end and a weight.

    An index that runs no scripts serves one process alone, so the leases are kept in that process.

    Args:
        index: where they are kept. Every method raises IndexUnavailable when it cannot be reached.
    """

    def __init__(self, index: Index) -> None:
        self._scripts = index.keys if isinstance(index.keys, ScriptRunner) else None
        self._here: dict[str, dict[str, tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, member: str, *, ttl_s: float, most: int, weight: int = 0) -> bool:
        """Whether `member` has a place among `most` for `ttl_s` from now; taking again makes it last."""
        if self._scripts is not None:
            return self._asked(key, "take", member, int(ttl_s * 1000), weight, most) == [1]
        with self._lock:
            held = self._living(key)
            if member not in held and len(held) >= most:
                return False
            held[member] = (time.monotonic() + ttl_s, weight)
            return True

    def leave(self, key: str, member: str) -> None:
        """Give a place back; no error when there is none."""
        if self._scripts is not None:
            self._asked(key, "leave", member)
            return
        with self._lock:
            self._living(key).pop(member, None)

    def held(self, key: str) -> Mapping[str, int]:
        """Who has a place now, with the weight of each; what no Leases has written is left out."""
        if self._scripts is None:
            with self._lock:
                return {member: weight for member, (_, weight) in self._living(key).items()}
        said = iter(cast("list[bytes]", self._asked(key, "look")))
        pairs = (_read(member, weight) for member, weight in zip(said, said, strict=True))
        return dict(pair for pair in pairs if pair is not None)

    def _asked(self, key: str, *args: str | int) -> list[object]:
        assert self._scripts is not None
        words = [str(one) for one in args] + [""] * (5 - len(args))
        return self._scripts.run_script(_SCRIPT, keys=[key, key + ":weights"], args=words)

    def _living(self, key: str) -> dict[str, tuple[float, int]]:
        now = time.monotonic()
        living = {member: one for member, one in self._here.get(key, {}).items() if one[0] > now}
        self._here[key] = living
        if not living:
            self._here = {name: held for name, held in self._here.items() if held or name == key}
        return living


def _read(member: bytes, weight: bytes) -> tuple[str, int] | None:
    """Return a member with its weight; None for what is damaged: one bad member must not hide the others."""
    try:
        return member.decode(), int(weight)
    except ValueError:  # UnicodeDecodeError is one
        return None
