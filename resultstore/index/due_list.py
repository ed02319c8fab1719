"""DueList: names that become due at a certain time, shared by all processes of an index."""

import threading
import time
from typing import Final, cast

from resultstore.index.index import Index, ScriptRunner

# The server's clock counts, because the gateways' clocks differ. A name that is listed already keeps its later time.
_NOW: Final = """
local kind, now = redis.call('TYPE', KEYS[1]).ok, tonumber(redis.call('TIME')[1])
if kind ~= 'none' and kind ~= 'zset' then redis.call('DEL', KEYS[1]) end  -- another program wrote it
"""
_ADD: Final = (
    _NOW
    + """
local at, before = now + ARGV[2], tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
return {redis.call('ZADD', KEYS[1], math.max(at, before), ARGV[1])}
"""
)
_DUE: Final = _NOW + "return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])"
_REMOVE: Final = _NOW + "return {redis.call('ZREM', KEYS[1], ARGV[1])}"


class DueList:
    """A list of names, each with the time when it is due.

    An index without scripts serves a single process, so the list is kept in that process.

    Args:
        index: stores the list. Every method raises IndexUnavailable when it cannot be reached.
        key: the key of the list.
    """

    def __init__(self, index: Index, key: str) -> None:
        self._scripts = index.keys if isinstance(index.keys, ScriptRunner) else None
        self._key = key
        self._local: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, name: str, *, after_s: float) -> None:
        """Make `name` due in `after_s` seconds, or at the time it has already if that is later."""
        if self._scripts is not None:
            self._scripts.run_script(_ADD, keys=[self._key], args=(name, int(after_s)))
            return
        with self._lock:
            self._local[name] = max(time.monotonic() + after_s, self._local.get(name, 0.0))

    def read_due(self, *, count: int) -> list[str]:
        """Return up to `count` due names, the longest overdue first. They stay listed."""
        if self._scripts is not None:
            found = cast("list[bytes]", self._scripts.run_script(_DUE, keys=[self._key], args=(count,)))
            return [one.decode(errors="replace") for one in found]
        with self._lock:
            due = sorted((at, name) for name, at in self._local.items() if at <= time.monotonic())
        return [name for _, name in due[:count]]

    def remove(self, name: str) -> None:
        """Remove `name` from the list. Do nothing if it is not listed."""
        if self._scripts is not None:
            self._scripts.run_script(_REMOVE, keys=[self._key], args=(name,))
            return
        with self._lock:
            self._local.pop(name, None)
