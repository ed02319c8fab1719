"""Streams: what Redis keeps of an owner's Events, and how a message tells one."""

from typing import Final, cast

import redis

from resultstore.model import record
from resultstore.model.event import Announcement, OwnerEvent

NOTHING_YET: Final = "0-0"
_READ_AT_ONCE: Final = 2_000  # the stream keeps about 1,000

_Entry = tuple[bytes, dict[bytes, bytes]]


def read_event(result_id: str, message: bytes | None) -> Announcement:
    """A message on an id's channel; without a state where it says nothing: the id is to be looked at."""
    return (None if message is None else record.decode_announcement(message)) or Announcement(result_id, "")


def read_told(owner: str, message: bytes | None) -> OwnerEvent:
    """A message on an owner's channel: the Event's place in the stream, a space, the Event."""
    at, _, event = (message or b"").partition(b" ")
    return OwnerEvent(owner, at.decode(errors="replace"), record.decode_event(event))


def last_place(client: redis.Redis, key: str) -> str:
    """The id of the newest entry of a stream; "0-0" where there is none."""
    newest = cast("list[_Entry]", client.xrevrange(key, count=1))
    return newest[0][0].decode() if newest else NOTHING_YET


def since(client: redis.Redis, key: str, *, owner: str, after: str) -> list[OwnerEvent] | None:
    """The entries of a stream behind `after`; None when `after` is not one of them any more.

    Only an entry that still stands proves that nothing behind it was trimmed away: XTRIM begins at the oldest.
    """
    asked = client.pipeline(transaction=True)
    asked.xrange(key, after, after)
    asked.xrange(key, f"({after}", count=_READ_AT_ONCE)
    found, entries = cast("tuple[list[_Entry], list[_Entry]]", asked.execute())
    if not found and (entries or after != NOTHING_YET):
        return None
    return [OwnerEvent(owner, at.decode(), record.decode_event(fields.get(b"e", b""))) for at, fields in entries]
