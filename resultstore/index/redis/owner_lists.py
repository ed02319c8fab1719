"""RedisOwnerLists: what Redis keeps of each owner: the ids, how long something of them is stored, and the Events."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from resultstore.index.index import Owned
from resultstore.index.redis.client import RedisClient, Word
from resultstore.index.redis.owner_stream import last_place, since
from resultstore.model import layout, record
from resultstore.model.errors import BadReference
from resultstore.model.event import OwnerEvent
from resultstore.model.result import Result

_Ask = Callable[[Callable[[RedisClient], Any]], Any]  # what it returns is what the question returns

_LISTED_MAX: Final = 10_000
_EVENTS_MAX: Final = 1_000
_PAGE: Final = 200


class RedisOwnerLists:
    """Sorted sets and a stream for each owner, in one Cluster slot.

    Args:
        ask: asks a question of the process's client, again while Redis is away.
        prefix: what all keys and channels begin with.
        record_key: the key of an id's record.
    """

    def __init__(self, ask: _Ask, *, prefix: str, record_key: Callable[[str], str]) -> None:
        self._ask = ask
        self._prefix = prefix
        self._record_key = record_key

    def add(self, result: Result, *, life_ms: bytes, event: bytes) -> None:
        """List a Result after a transition, and add its Event to the stream."""
        made_at = result.created_at or result.changed_at or time.time()
        stored_until = _told(result.stored_until)
        self._run(result.owner, result.id, made_at=made_at, life_ms=life_ms, stored_until=stored_until, event=event)

    def enlist(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """See `ListsOwned.enlist`."""
        listed = "" if made_at is None else made_at
        self._run(owner, result_id, made_at=listed, life_ms=b"0", stored_until=_told(stored_until), event=b"")

    def remove(self, owner: str, result_id: str, event: bytes) -> None:
        """Take an id off all lists, and add its last Event to the stream, where there is one."""
        life_ms = b"%d" % (layout.DAY_S * 1000)
        self._run(owner, result_id, made_at="", life_ms=life_ms, stored_until="", event=event, gone="gone")

    def owned(self, owner: str) -> Iterator[Owned]:
        """What is listed of an owner, the newest first; drops what is neither recorded nor stored any more."""
        keys, start = self._keys(owner), 0
        while page := cast("list[tuple[bytes, float]]", self._ask(_newest(keys[0], start))):
            if foreign := {entry for entry, _ in page if not self._is_id(entry)}:
                self._ask(_removed(keys[:2], foreign))
                continue
            ids = [one.decode() for one, _ in page]
            heads = self._ask(_heads([self._record_key(one) for one in ids]))
            stored = self._stored(keys[1], [one for one, head in zip(ids, heads, strict=True) if not head])
            kept = [one for one, head in zip(ids, heads, strict=True) if head or one in stored]
            gone = set(ids).difference(kept)
            if gone:
                self._ask(_removed(keys[:2], gone))
            start += len(kept)
            for one, head, (_, made_at) in zip(ids, heads, page, strict=True):
                if one in stored or record.is_live(head):
                    yield Owned(one, made_at)

    def latest(self, owner: str) -> str:
        """The place of the newest Event in the owner's stream; "0-0" where there is none."""
        return str(self._ask(lambda of: last_place(of.client, self._keys(owner)[2])))

    def missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """What was told behind the place `after`; None when `after` is not (or no longer) in the stream."""
        return self._ask(lambda of: since(of.client, self._keys(owner)[2], owner=owner, after=after))  # type: ignore[no-any-return]

    def everything(self, owner: str) -> list[str]:
        """Every id of which something may be there."""
        keys = self._keys(owner)
        found = self._ask(lambda of: [of.client.zrange(key, 0, -1) for key in keys[:2]])
        return list(dict.fromkeys(one.decode(errors="replace") for page in found for one in page))

    def unlist(self, owner: str, result_ids: list[str]) -> None:
        """See `ListsOwned.unlist`."""
        if result_ids:
            self._ask(lambda of: of.client.zrem(self._keys(owner)[0], *result_ids))

    def erase(self, owner: str) -> None:
        """See `ListsOwned.erase`."""
        keys = self._keys(owner)
        self._ask(lambda of: of.client.unlink(*keys))
        for family in layout.owner_patterns(owner):
            self._ask(_unlinked(self._prefix + family))

    def _is_id(self, entry: bytes) -> bool:
        """Return whether an entry can be an id; others than resultstore may have written to Redis."""
        try:
            self._record_key(entry.decode())
        except (UnicodeDecodeError, BadReference):
            return False
        return True

    def _stored(self, key: str, ids: list[str]) -> set[str]:
        if not ids:
            return set()
        until = self._ask(_scores(key, ids))
        now = time.time()
        return {one for one, at in zip(ids, until, strict=True) if at is not None and at > now}

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
        said: list[Word] = [result_id, made_at, life_ms, stored_until, event, gone, _LISTED_MAX, _EVENTS_MAX]
        channel = self._prefix + layout.owner_channel(owner)
        self._ask(lambda of: of.own(self._keys(owner), [*said, channel]))

    def _keys(self, owner: str) -> list[str]:
        keys = (layout.owner_key(owner), layout.owner_stored_key(owner), layout.owner_stream_key(owner))
        return [self._prefix + key for key in keys]


def _told(stored_until: float) -> str:
    """As the script takes it: nothing is stored beyond the record where the time is 0."""
    if stored_until == math.inf:
        return "inf"
    return str(int(stored_until)) if stored_until else ""


def _newest(key: str, start: int) -> Callable[[RedisClient], object]:
    return lambda of: of.client.zrevrange(key, start, start + _PAGE - 1, withscores=True)


def _removed(keys: list[str], ids: set[str] | set[bytes]) -> Callable[[RedisClient], object]:
    return lambda of: [of.client.zrem(key, *ids) for key in keys]


def _unlinked(pattern: str) -> Callable[[RedisClient], object]:
    return lambda of: of.unlink_like(pattern)


def _heads(keys: list[str]) -> Callable[[RedisClient], list[bytes]]:
    return lambda of: of.heads(keys=keys)


def _scores(key: str, ids: list[str]) -> Callable[[RedisClient], list[float | None]]:
    return lambda of: of.scores(key=key, members=ids)
