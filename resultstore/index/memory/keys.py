"""MemoryKeys: small bytes under callers' own keys, in this process."""

import math
import threading
import time
from collections.abc import Sequence


class MemoryKeys:
    """Implements `Keys` and the notes of `UnconfirmedWrites`. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def read(self, key: str) -> bytes | None:
        """Return what is stored under `key`, or None."""
        content, ends_at = self._kept.get(key, (None, 0.0))
        return content if time.monotonic() < ends_at else None

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what `read` returns for each key."""
        return [self.read(one) for one in keys]

    def keep(self, key: str, content: bytes, *, ttl_s: int | None) -> None:
        """Store `content` for `ttl_s` (None: forever), replacing what is there."""
        self._kept[key] = (content, math.inf if ttl_s is None else time.monotonic() + ttl_s)

    def drop(self, key: str) -> None:
        """Delete `key`."""
        self._kept.pop(key, None)

    def claim(self, key: str, holder: str, *, ttl_s: int) -> bool:
        """Take a lock with a lease of `ttl_s`. Return whether `holder` has it now."""
        with self._lock:
            if self.read(key) not in (None, holder.encode()):
                return False
            self.keep(key, holder.encode(), ttl_s=ttl_s)
        return True

    def add_note(self, key: str, note: str, *, ttl_s: int | None) -> None:
        """Add `note` to the set under `key`."""
        with self._lock:
            self.keep(key, "\n".join({*self.read_notes(key), note}).encode(), ttl_s=ttl_s)

    def read_notes(self, key: str) -> frozenset[str]:
        """Return the notes under `key`."""
        return frozenset((self.read(key) or b"").decode().splitlines())

    def drop_all(self, prefixes: tuple[str, ...]) -> None:
        """Delete every key that begins with one of `prefixes`."""
        for key in [key for key in self._kept if key.startswith(prefixes)]:
            self.drop(key)
