"""Due: names that are to be seen to at a certain time, by whoever looks first after it."""

import threading
import time
from typing import Final, cast

from resultstore.index.index import Index, ScriptRunner

# By the server's clock: the gateways' clocks differ. A name that is there already is seen to at the later time.
_NOW: Final = """
local kind, now = redis.call('TYPE', KEYS[1]).ok, tonumber(redis.call('TIME')[1])
if kind ~= 'none' and kind ~= 'zset' then redis.call('DEL', KEYS[1]) end  -- we did not write that
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


class DueTimes:
    """One list of names, each with its time.

    An index that runs no scripts serves one process alone, so the list is kept in that process.

    Args:
        index: where it is kept. Every method raises IndexUnavailable when it cannot be reached.
        key: names the list.
    """

    def __init__(self, index: Index, key: str) -> None:
        self._scripts = index.keys if isinstance(index.keys, ScriptRunner) else None
        self._key = key
        self._here: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, name: str, *, after_s: float) -> None:
        """List `name` for `after_s` seconds from now; never earlier than it is listed for already."""
        if self._scripts is not None:
            self._scripts.run_script(_ADD, keys=[self._key], args=(name, int(after_s)))
            return
        with self._lock:
            self._here[name] = max(time.monotonic() + after_s, self._here.get(name, 0.0))

    def names(self, *, count: int) -> list[str]:
        """Up to `count` names whose time has come, the longest overdue first."""
        if self._scripts is not None:
            found = cast("list[bytes]", self._scripts.run_script(_DUE, keys=[self._key], args=(count,)))
            return [one.decode(errors="replace") for one in found]
        with self._lock:
            due = sorted((at, name) for name, at in self._here.items() if at <= time.monotonic())
        return [name for _, name in due[:count]]

    def remove(self, name: str) -> None:
        """List it no more."""
        if self._scripts is not None:
            self._scripts.run_script(_REMOVE, keys=[self._key], args=(name,))
            return
        with self._lock:
            self._here.pop(name, None)
