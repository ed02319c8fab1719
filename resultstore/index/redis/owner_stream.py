"""Owner streams: the stored Events of an owner in Redis, and the format of the messages."""

from typing import Final, cast

import redis

from resultstore.model import record
from resultstore.model.event import Announcement, OwnerEvent

_NO_EVENT_ID: Final = "0-0"
_READ_MAX: Final = 2_000  # the stream keeps about 1,000

_Entry = tuple[bytes, dict[bytes, bytes]]


def read_event(result_id: str, message: bytes | None) -> Announcement:
    """Decode a message on an id's channel. Without a readable message, return an Announcement without a state."""
    return (None if message is None else record.decode_announcement(message)) or Announcement(result_id, "")


def read_owner_event(owner: str, message: bytes | None) -> OwnerEvent:
    """Decode a message on an owner's channel: the Event's id in the stream, a space, the Event."""
    event_id, _, event = (message or b"").partition(b" ")
    return OwnerEvent(owner, event_id.decode(errors="replace"), record.decode_event(event))


def last_event_id(client: redis.Redis, key: str) -> str:
    """Return the id of the newest entry of a stream, or "0-0"."""
    newest = cast("list[_Entry]", client.xrevrange(key, count=1))
    return newest[0][0].decode() if newest else _NO_EVENT_ID


def read_missed(client: redis.Redis, key: str, *, owner: str, after: str) -> list[OwnerEvent] | None:
    """Return the entries of a stream after `after`; None if `after` is not one of them any more.

    Only an existing entry proves that nothing after it was trimmed: XTRIM begins with the oldest. So it is looked up
    after the others were read. A transaction would do too, but redis-py before 6 has none on a cluster.
    """
    asked = client.pipeline(transaction=False)
    asked.xrange(key, f"({after}", count=_READ_MAX)
    asked.xrange(key, after, after)
    entries, found = cast("tuple[list[_Entry], list[_Entry]]", asked.execute())
    if not found and (entries or after != _NO_EVENT_ID):
        return None
    return [OwnerEvent(owner, at.decode(), record.decode_event(fields.get(b"e", b""))) for at, fields in entries]
