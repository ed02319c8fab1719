"""RedisIndex: an Index on a Redis or Valkey server, with one Lua script for each transition."""

from itertools import chain, repeat
from typing import Final

import redis

from resultstore.index.index import MemoryUse, Overwrite
from resultstore.index.record_decoder import RecordDecoder
from resultstore.index.redis.client import Argument
from resultstore.index.redis.events import RedisEvents
from resultstore.index.redis.key_names import RedisKeyNames
from resultstore.index.redis.keys import RedisKeys
from resultstore.index.redis.listing import RedisListing
from resultstore.index.redis.owner_lists import RedisOwnerLists
from resultstore.index.redis.pool import Options
from resultstore.index.redis.retrying import RetryingClient
from resultstore.index.redis.unconfirmed import RedisUnconfirmedWrites
from resultstore.model import record
from resultstore.model.result import Result, State

_ANNOUNCED_MAX_BYTES: Final = 1024  # Redis disconnects a subscriber whose unread messages reach 32 MB


class RedisIndex:
    """Stores Results in Redis: `rs:{id}` is the small record, `rs:{id}:+` its larger parts.

    Args:
        url: redis://, rediss:// (TLS), unix://, sentinel:// or redis-cluster://; redis-py's query options
            (`socket_timeout=...`) win.
        prefix: the beginning of all keys and channels.
        options: redis-py's arguments of a connection, as `pool.open_pool` takes them.
    """

    def __init__(self, url: str, *, prefix: str = "", options: Options | None = None) -> None:
        self._client = RetryingClient(url, options or {})
        self._names = RedisKeyNames(prefix, is_cluster=self._client.is_cluster)
        self._decoder = RecordDecoder()
        self.listing = RedisListing(self._client, self._names, self._decoder)
        self.owners = RedisOwnerLists(self._client, self._names)
        self.keys = RedisKeys(self._client, self._names)
        self.unconfirmed = RedisUnconfirmedWrites(self._client, self._names)
        self.events = RedisEvents(self._client, self._names)

    def peek(self, result_id: str) -> Result | None:
        """Return the small record: one GET, whatever the size of the value."""
        return self._decoder.decode_small(
            result_id, self._client.ask(lambda client: client.get(self._names.record(result_id)))
        )

    def load(self, result_id: str) -> Result | None:
        """Return the whole record: one MGET. None as well if Redis has evicted its larger parts."""
        main, beside = self._client.ask(lambda client: client.mget(self._names.pair(result_id)))
        return self._decoder.decode_whole(result_id, main, beside)

    def save(self, result: Result, *, ttl_s: int | None, over: Overwrite = Overwrite.UNLESS_SUCCESS) -> bool:
        """Write the record if `over` allows, expire it after `ttl_s`, announce it: one round trip.

        With an owner, a second one lists the id and adds the Event to the owner's stream. A crash between the two
        leaves the record right and the list one entry short, until the next transition.
        """
        main, beside = record.encode(result)
        event = announced = record.encode_event(result)
        # A waiter need not ask for a small record. Artifacts are left out: their signatures are checked at a look-up.
        if not result.artifacts and len(main) + len(beside or b"") <= _ANNOUNCED_MAX_BYTES:
            announced = record.encode_event(result, main=main, beside=beside)
        life_ms = b"" if ttl_s is None else b"%d" % max(1, ttl_s * 1000)
        unowned = b"" if result.owner else self._names.owner_channel("").encode()
        channel = self._names.channel(result.id)
        args: list[Argument] = [main, beside or b"", life_ms, channel, announced, unowned]
        again = chain([b"0"], repeat(b"1"))  # a retry may find what its own first try wrote
        keys = self._names.pair(result.id)
        written = bool(self._client.ask(lambda client: client.save(keys, [str(over), next(again), *args])))
        if written and result.owner:
            self.owners.add(result, life_ms=life_ms, event=event)
        return written

    def delete(self, result_id: str) -> None:
        """Delete the whole record, but not a tombstone; an owner's list drops the id when it is read."""
        self._client.ask(lambda client: client.delete(self._names.pair(result_id)))

    def write_tombstone(self, result_id: str, *, owner: str, ttl_s: int) -> None:
        """Replace the record by a tombstone for `ttl_s`, and announce the deletion to those who watch the id."""
        deleted = Result(id=result_id, state=State.REVOKED, owner=owner, deleted=True)
        event, channel = record.encode_event(deleted), self._names.channel(result_id)
        args: list[Argument] = ["all", b"0", record.encode(deleted)[0], b"", ttl_s * 1000, channel, event, b""]
        self._client.ask(lambda client: client.save(self._names.pair(result_id), args))

    def check_id(self, result_id: str) -> None:
        """Raise BadReference for an id that has no slot in a Redis Cluster."""
        self._names.record(result_id)

    def memory(self) -> list[MemoryUse]:
        """Return what INFO says of each server that holds data."""
        return [
            MemoryUse(
                used_bytes=int(section.get("used_memory", 0)),
                limit_bytes=int(section.get("maxmemory", 0)),
                policy=str(section.get("maxmemory_policy", "")),
            )
            for section in self._client.ask(lambda client: client.read_memory())
        ]

    @property
    def client(self) -> redis.Redis:
        """The redis-py client of this process; its pool is shared with the index."""
        return self._client.current().redis_py
