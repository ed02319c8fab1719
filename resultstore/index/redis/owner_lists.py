"""RedisOwnerLists: which ids each owner has, and how long their bytes are stored, in Redis."""

import math
import time
from typing import Final

from resultstore.index.redis.client import Argument
from resultstore.index.redis.key_names import RedisKeyNames
from resultstore.index.redis.retrying import RetryingClient, bound
from resultstore.model import layout, record
from resultstore.model.result import Result
from resultstore.model.seal import DELETED

_LISTED_MAX: Final = 10_000
_EVENTS_MAX: Final = 1_000


class RedisOwnerLists:
    """Implements `OwnerLists`: two sorted sets and a stream for each owner, in one Cluster slot.

    Args:
        client: sends the requests.
        names: of the owners' keys and channels.
    """

    def __init__(self, client: RetryingClient, names: RedisKeyNames) -> None:
        self._client = client
        self._names = names

    def add(self, result: Result, *, life_ms: bytes, event: bytes) -> None:
        """List a Result after a transition, and add its Event to the stream."""
        made_at = result.created_at or result.changed_at or time.time()
        stored_until = _encoded(result.stored_until)
        self._run(result.owner, result.id, made_at=made_at, life_ms=life_ms, stored_until=stored_until, event=event)

    def enlist(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """Record that bytes of this id are stored until then; the longer time counts."""
        listed = "" if made_at is None else made_at
        self._run(owner, result_id, made_at=listed, life_ms=b"0", stored_until=_encoded(stored_until), event=b"")

    def unlist(self, owner: str, result_ids: list[str]) -> None:
        """Remove these ids from the list; their stored bytes stay recorded."""
        if result_ids:
            self._client.ask(lambda client: client.redis_py.zrem(self._names.listed(owner), *result_ids))

    def remove_deleted(self, result_id: str, *, owner: str) -> None:
        """Remove a deleted Result from the owner's lists, and announce the deletion."""
        event = record.encode_event(Result(id=result_id, state=DELETED))
        if owner:
            self._remove(owner, result_id, event)
        else:
            channel = self._names.owner_channel("")
            self._client.ask(lambda client: client.redis_py.publish(channel, b" " + event))

    def forget(self, owner: str, result_id: str) -> None:
        """Remove an id from all lists of the owner."""
        self._remove(owner, result_id, b"")

    def erase(self, owner: str) -> None:
        """Delete the owner's lists, Events, counters and keys."""
        self._client.ask(lambda client: client.redis_py.unlink(*self._keys(owner)))
        for pattern in layout.owner_patterns(owner):
            self._client.ask(bound(self._names.own(pattern), lambda client, one: client.unlink_like(one)))

    def _remove(self, owner: str, result_id: str, event: bytes) -> None:
        life_ms = b"%d" % (layout.DAY_S * 1000)
        self._run(owner, result_id, made_at="", life_ms=life_ms, stored_until="", event=event, gone="gone")

    def _run(
        self,
        owner: str,
        result_id: str,
        *,
        made_at: float | str,
        life_ms: bytes,
        stored_until: str,
        event: bytes,
        gone: str = "",
    ) -> None:
        args: list[Argument] = [result_id, made_at, life_ms, stored_until, event, gone, _LISTED_MAX, _EVENTS_MAX]
        channel = self._names.owner_channel(owner)
        self._client.ask(lambda client: client.update_owner(self._keys(owner), [*args, channel]))

    def _keys(self, owner: str) -> list[str]:
        return [self._names.listed(owner), self._names.stored(owner), self._names.stream(owner)]


def _encoded(stored_until: float) -> str:
    """Return the time as the script takes it; 0 means that nothing but the record is stored."""
    if stored_until == math.inf:
        return "inf"
    return str(int(stored_until)) if stored_until else ""
