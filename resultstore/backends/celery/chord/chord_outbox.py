"""Outbox: the bodies of chords whose parts are all in, until each is confirmed to be sent."""

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

_BATCH: Final = 100

# By the server's clock: workers' clocks differ.
_NOW: Final = "local now = tonumber(redis.call('TIME')[1])\n"
_LIST: Final = _NOW + "return {redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])}"
_UNLIST: Final = "return {redis.call('ZREM', KEYS[1], ARGV[1])}"
# The worker that takes them holds them for another lease: of many workers that ask, one gets each.
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
    """The state of a chord, for a worker that wants to finish it."""

    GONE = 0  # its body was sent, or it expired
    OPEN = 1  # parts are missing
    TAKEN = 2  # another worker is finishing it
    MINE = 3


class OutboxEntry(msgspec.Struct, frozen=True):
    """A body in the outbox.

    Args:
        body: its signature.
        sender: the fields of Celery's Context that the message inherits from the task that ended last.
    """

    body: dict[str, Any]
    sender: dict[str, Any]


_COPIED: Final = ("id", "root_id", "delivery_info", "stamps", "stamped_headers", "replaced_task_nesting", OWNER_HEADER)


class ChordOutbox:
    """Bodies by their group's id, and the list of those groups, in another Cluster slot.

    A group is listed before its last part is counted. A crash between the two leaves an entry in the list, which the
    next worker drops; a crash after both leaves a body, which the next worker sends.

    Args:
        scripts: runs the steps, each atomic.
        senders: names the apps that may send the same messages: apps with other brokers and routes may share Redis.
        lease_s: the lease of a chord's finisher.
    """

    def __init__(self, scripts: ScriptRunner, *, senders: Callable[[], str], lease_s: int) -> None:
        self._scripts = scripts
        self._senders = senders
        self.lease_s = lease_s

    @cached_property
    def key(self) -> str:
        """The key of the list of groups."""
        return layout.outbox_key(self._senders())

    def add(self, group_id: str) -> None:
        """List a chord whose last part is about to be counted."""
        self._run(_LIST, group_id, self.lease_s)

    def remove(self, group_id: str) -> None:
        """Remove a chord whose body was sent, or has failed."""
        self._run(_UNLIST, group_id)

    def take_due(self) -> list[str]:
        """Return chords past their lease; of all workers that ask, one gets each."""
        found = self._run(_TAKE, self.lease_s, _BATCH)
        return [one.decode(errors="replace") for one in cast("list[bytes]", found)]

    def claim(
        self, group_id: str, token: str, *, claim_s: int, force: bool = False
    ) -> tuple[ChordStatus, OutboxEntry | None]:
        """Become the finisher of a chord in the outbox; with `force`, even while another worker is."""
        keys = [layout.group_key(group_id, part) for part in (".c", ".b", ".s")]
        answer = self._scripts.run_script(_ADOPT, keys=keys, args=(token, claim_s, int(force)))
        status = ChordStatus(cast("int", answer[0]))
        return status, _decode_entry(cast("bytes", answer[1])) if status is ChordStatus.MINE else None

    def _run(self, script: str, *args: str | int) -> list[object]:
        return self._scripts.run_script(script, keys=[self.key], args=args)


def encode_entry(request: Any) -> str:  # noqa: ANN401 - Celery's Context
    """Return the entry for the body of a header task; an empty one if JSON cannot represent the body's arguments."""
    sender = {name: value for name in _COPIED if (value := getattr(request, name, None))}
    try:
        text: str = dumps({"body": request.chord, "sender": sender})  # type: ignore[no-untyped-call]
    except TypeError as error:  # what pickled messages may hold
        _log.warning("chord_body_not_kept", group=request.group, error=str(error))
        return "{}"
    return text


def _decode_entry(entry: bytes) -> OutboxEntry | None:
    plain = loads(entry)  # type: ignore[no-untyped-call]
    return OutboxEntry(**plain) if plain else None
