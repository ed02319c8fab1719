"""Header: which parts of a chord have arrived, and which are missing."""

from enum import StrEnum
from typing import Any, Final, cast

import msgspec

from resultstore.index.index import ScriptRunner
from resultstore.model import layout
from resultstore.model.errors import Misconfigured, ResultMissing

_LOOK: Final = """
local parts, size, added, claim, outbox, ids = unpack(KEYS)
local function word(reply) return reply or '' end
local answer = {word(redis.call('GET', size)), word(redis.call('GET', added)), word(redis.call('GET', claim)),
  redis.call('PTTL', claim), redis.call('EXISTS', outbox), word(redis.call('GET', ids))}
local kind = redis.call('TYPE', parts).ok
local list = kind == 'list' and redis.call('LRANGE', parts, 0, -1)
  or kind == 'zset' and redis.call('ZRANGE', parts, 0, -1) or {}
for _, part in ipairs(list) do
  table.insert(answer, part)
end
return answer
"""
_BEFORE_PARTS: Final = 6


class ChordStage(StrEnum):
    """The stage of a chord."""

    WAITING = "waiting for parts"
    FINISHING = "a worker is sending the body"
    UNSENT = "all parts are in, and no worker is sending the body"
    SENT = "the body was sent"
    ENDED = "ended: a part failed, or its value was gone"


class ChordPart(msgspec.Struct, frozen=True):
    """A header task and its state; "" if the index has no record of it."""

    id: str
    state: str


class ChordHeader(msgspec.Struct, frozen=True):
    """The current progress of a chord.

    Args:
        id: the group's.
        stage: its stage.
        size: how many parts it has, as far as that is known.
        present: the parts that have arrived, in the header's order if that is stored.
        missing: the ids that have not; they are unknown if the header was a generator.
        lease_s: how long the finisher's lease still lasts.
    """

    id: str
    stage: ChordStage
    size: int
    present: tuple[ChordPart, ...]
    missing: tuple[ChordPart, ...]
    lease_s: float


def read_header(backend: Any, group_id: str) -> ChordHeader:  # noqa: ANN401 - Celery's backends have no types
    """Return the chord of a group id, in one round trip and one more for the states of the missing parts.

    Raises ResultMissing for an unknown id, Misconfigured for an index without native chords.
    """
    scripts = backend.store.index.keys
    if not isinstance(scripts, ScriptRunner):
        raise Misconfigured("this index stores no chords: use redis:// in RESULTSTORE_INDEX_URL")
    keys = [layout.group_key(group_id, part) for part in (".j", ".s", ".t", ".c", ".b", ".h")]
    answer = scripts.run_script(_LOOK, keys=keys, args=())
    size, added, claim, lease_ms, outbox, ids = answer[:_BEFORE_PARTS]
    parts = [backend.decode(part) for part in answer[_BEFORE_PARTS:]]
    if not size and not parts and not claim:
        raise ResultMissing(f"no chord is known under the group id {group_id!r}: it expired, or it is another's id")
    present = tuple(ChordPart(part[1], part[2]) for part in parts)
    here = {part.id for part in present}
    missing = [one for one in cast("bytes", ids).decode().split() if one not in here]
    found = backend.store.load_many(missing) if claim != b"done" else []
    return ChordHeader(
        id=group_id,
        stage=_stage(bool(size), cast("bytes", claim), unsent=bool(outbox)),
        size=int(cast("bytes", size) or 0) + int(cast("bytes", added) or 0),
        present=present,
        missing=tuple(ChordPart(one, str(at.state) if at else "") for one, at in zip(missing, found, strict=False)),
        lease_s=max(0, cast("int", lease_ms)) / 1000 if outbox else 0.0,
    )


def _stage(counting: bool, claim: bytes, *, unsent: bool) -> ChordStage:  # noqa: FBT001 - as Redis answered
    if claim == b"done":
        return ChordStage.SENT
    if unsent:
        return ChordStage.FINISHING if claim else ChordStage.UNSENT
    return ChordStage.WAITING if counting else ChordStage.ENDED
