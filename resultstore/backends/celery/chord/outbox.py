"""Outbox: the bodies of chords whose parts are all in, until each is known to be sent."""

from collections.abc import Callable
from enum import IntEnum
from functools import cached_property
from typing import Any, Final, cast

import msgspec
from kombu.utils.json import dumps, loads

from resultstore.index.index import ScriptRunner
from resultstore.model import layout
from resultstore.model.headers import OWNER_HEADER
from resultstore.telemetry.logs import Log

_log = Log(__name__)

_TAKEN_AT_ONCE: Final = 100

# By the server's clock: workers' clocks differ.
_NOW: Final = "local now = tonumber(redis.call('TIME')[1])\n"
_LIST: Final = _NOW + "return {redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])}"
_UNLIST: Final = "return {redis.call('ZREM', KEYS[1], ARGV[1])}"
# Who takes them has them for another lease: of many workers that look, one finds each.
_TAKE: Final = (
    _NOW
    + """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, one in ipairs(due) do
  redis.call('ZADD', KEYS[1], now + ARGV[1], one)
end
return due
"""
)
_ADOPT: Final = """
local claim, outbox, size = unpack(KEYS)
local token, claim_s, force = unpack(ARGV)
local body = redis.call('GET', outbox)
if not body then
  return {redis.call('EXISTS', size)}
end
if force == '1' then
  redis.call('SET', claim, token, 'EX', claim_s)
elseif redis.call('GET', claim) ~= token and not redis.call('SET', claim, token, 'NX', 'EX', claim_s) then
  return {2}
end
return {3, body}
"""


class ChordStatus(IntEnum):
    """How a chord stands, seen by somebody who would finish it."""

    GONE = 0  # its body was sent, or it expired
    OPEN = 1  # parts are missing
    TAKEN = 2  # somebody finishes it
    MINE = 3


class OutboxEntry(msgspec.Struct, frozen=True):
    """A body as it stands in the outbox.

    Args:
        body: its signature.
        sender: what the message takes over from the task that ended last: Celery's Context, cut down.
    """

    body: dict[str, Any]
    sender: dict[str, Any]


_TAKEN_OVER: Final = (
    "id",
    "root_id",
    "delivery_info",
    "stamps",
    "stamped_headers",
    "replaced_task_nesting",
    OWNER_HEADER,
)


class ChordOutbox:
    """Bodies by their group's id, and the list of those groups, in another Cluster slot.

    A group is listed before its last part is counted: a crash between the two leaves an entry in the list that
    somebody drops, a crash behind them a body that somebody sends.

    Args:
        scripts: runs the steps, each atomic.
        senders: names those who may send what this process could: apps with other brokers and routes may share Redis.
        lease_s: how long the finisher of a chord is left alone.
    """

    def __init__(self, scripts: ScriptRunner, *, senders: Callable[[], str], lease_s: int) -> None:
        self._scripts = scripts
        self._senders = senders
        self.lease_s = lease_s

    @cached_property
    def key(self) -> str:
        """Where the groups are listed."""
        return layout.outbox_key(self._senders())

    def enter(self, group_id: str) -> None:
        """List a chord whose last part is about to be counted."""
        self._listed(_LIST, group_id, self.lease_s)

    def leave(self, group_id: str) -> None:
        """The body was sent, or has failed."""
        self._listed(_UNLIST, group_id)

    def due(self) -> list[str]:
        """Chords past their lease, each told to one of all who ask."""
        found = self._listed(_TAKE, self.lease_s, _TAKEN_AT_ONCE)
        return [one.decode(errors="replace") for one in cast("list[bytes]", found)]

    def adopt(
        self, group_id: str, token: str, *, claim_s: int, force: bool = False
    ) -> tuple[ChordStatus, OutboxEntry | None]:
        """Become the finisher of a chord in the outbox, of one that another one holds too if `force`d."""
        keys = [layout.group_key(group_id, part) for part in (".c", ".b", ".s")]
        said = self._scripts.run_script(_ADOPT, keys=keys, args=(token, claim_s, int(force)))
        standing = ChordStatus(cast("int", said[0]))
        return standing, _read(cast("bytes", said[1])) if standing is ChordStatus.MINE else None

    def _listed(self, script: str, *args: str | int) -> list[object]:
        return self._scripts.run_script(script, keys=[self.key], args=args)


def written(request: Any) -> str:  # noqa: ANN401 - Celery's Context
    """The entry for the body of a header task's request; an empty one where JSON cannot hold the body's arguments."""
    sender = {name: value for name in _TAKEN_OVER if (value := getattr(request, name, None))}
    try:
        text: str = dumps({"body": request.chord, "sender": sender})  # type: ignore[no-untyped-call]
    except TypeError as error:  # what pickled messages may hold
        _log.warning("chord_body_not_kept", group=request.group, error=str(error))
        return "{}"
    return text


def _read(entry: bytes) -> OutboxEntry | None:
    plain = loads(entry)  # type: ignore[no-untyped-call]
    return OutboxEntry(**plain) if plain else None
