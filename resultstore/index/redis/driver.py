"""Redis: an Index on a Redis or Valkey server; one Lua script a transition."""

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import chain, islice, repeat
from typing import Final, TypeVar

import redis

from resultstore.index.inbox import EventInbox
from resultstore.index.index import Overwrite, Owned
from resultstore.index.record_reader import RecordReader
from resultstore.index.redis.client import RedisClient, Word
from resultstore.index.redis.cluster import RedisClusterClient, is_cluster
from resultstore.index.redis.owner_lists import RedisOwnerLists
from resultstore.index.redis.owner_stream import read_event, read_told
from resultstore.index.redis.pool import Options, address
from resultstore.index.redis.subscription import RedisSubscription
from resultstore.model import layout, record
from resultstore.model.errors import BadReference, IndexUnavailable, Misconfigured
from resultstore.model.event import Event, OwnerEvent
from resultstore.model.result import Result, State
from resultstore.model.seal import DELETED
from resultstore.model.spill import Spill

_T = TypeVar("_T")
_G = TypeVar("_G")

_FIRST_PAUSE_S: Final = 0.02
_RETRY_BUDGET_S: Final = 3.0  # no try begins later than this; rides out a restart, not an outage
_SCAN_ROUNDS: Final = 1_000  # a listing looks at a million keys at most, whatever else lives in this database
_READ_AT_ONCE: Final = 2_000  # even: a record and what lies beside it are read together
_TOLD_MAX_BYTES: Final = 1024  # Redis cuts a subscriber whose unread announcements reach 32 MB


class RedisIndex:
    """Results in Redis: `rs:{id}` the record, `rs:{id}:+` what is too big for a poll.

    The client is opened at first use, once per process, so that a fork gets its own.
    The client's own retries are off; ours last 3 s, and every write may be repeated.

    Args:
        url: redis://, rediss:// (TLS), unix://, sentinel:// or redis-cluster://; redis-py's query options
            (`socket_timeout=...`) win.
        prefix: what all keys and channels begin with.
        options: redis-py's arguments of a connection, as `pool.open_pool` takes them.
    """

    def __init__(self, url: str, *, prefix: str = "", options: Options | None = None) -> None:
        if "{" in prefix or "}" in prefix:
            raise Misconfigured(f"the prefix {prefix!r} of Redis keys has a brace: they mark what lies in one slot")
        self._where = address(url)
        self._prefix = prefix
        self._is_cluster = is_cluster(url)
        kind = RedisClusterClient if self._is_cluster else RedisClient
        self._open = partial(kind, url, self._where, options or {})
        self._processes = {os.getpid(): self._open()}
        self._reader = RecordReader()
        self._owners = RedisOwnerLists(self._asked, prefix=prefix, record_key=self._record)
        self._process().check()

    def peek(self, result_id: str) -> Result | None:
        """The small record alone: one GET, whatever the size of the value."""
        return self._reader.small(result_id, self._asked(lambda of: of.get(self._record(result_id))))

    def load(self, result_id: str) -> Result | None:
        """The record with what lies beside it: one MGET. None as well where Redis evicted the part beside."""
        main, beside = self._asked(lambda of: of.mget(self._pair(result_id)))
        return self._reader.whole(result_id, main, beside)

    def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """What `load` gives for each id: one MGET for up to 1,000 of them; in a Cluster, one for each slot."""
        found = self._read([key for one in result_ids for key in self._pair(one)])
        return self._reader.whole_of_many(zip(result_ids, found[::2], found[1::2], strict=True))

    def peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """What `peek` gives for each id: one MGET for up to 2,000 of them."""
        found = self._read([self._record(one) for one in result_ids])
        return self._reader.small_of_many(zip(result_ids, found, strict=True))

    @property
    def unreadable_total(self) -> int:
        """How many records this process has skipped because it could not read them."""
        return self._reader.unreadable_total

    def save(self, result: Result, *, ttl_s: int | None, over: Overwrite = Overwrite.UNLESS_SUCCESS) -> bool:
        """Write the record if `over` allows, let it expire after `ttl_s` seconds, and announce it: one round trip.

        With an owner a second one lists the id and adds the Event to the owner's stream. A crash between the two
        leaves the record right and the list one hint short, until the next transition.
        """
        main, beside = record.encode(result)
        event = told = record.encode_event(result)
        # Whoever waits need not ask for it; but Artifacts are believed where they stand, with the store's own checks.
        if not result.artifacts and len(main) + len(beside or b"") <= _TOLD_MAX_BYTES:
            told = record.encode_event(result, main=main, beside=beside)
        life_ms = b"" if ttl_s is None else b"%d" % max(1, ttl_s * 1000)
        unowned = b"" if result.owner else self._owner_channel("").encode()
        said: list[Word] = [main, beside or b"", life_ms, self._channel(result.id), told, unowned]
        again = chain([b"0"], repeat(b"1"))  # a retry may meet its own first try
        written = bool(self._asked(lambda of: of.save(self._pair(result.id), [str(over), next(again), *said])))
        if written and result.owner:
            self._owners.add(result, life_ms=life_ms, event=event)
        return written

    def hint(self, result: Result, *, ttl_s: int | None) -> None:
        """Write the record where none stands, without waiting for the server. What lies beside it is left out."""
        main, _ = record.encode(result)
        life = () if ttl_s is None else ("PX", str(ttl_s * 1000))
        self._process().hint("SET", self._record(result.id), main, "NX", *life)

    def tell_early(self, result_id: str, spill: Spill) -> None:
        """Tell whoever waits for the id where its value stands, before it is sealed; may be lost."""
        event = record.encode_event(Result(id=result_id, state=State.STARTED), early=spill)
        self._process().hint("PUBLISH", self._channel(result_id), event)

    def note(self, key: str, word: str, *, ttl_s: int | None) -> None:
        """Add `word` to what stands under `key`, without waiting for the server."""
        self._process().hint("SADD", self._prefix + key, word)
        if ttl_s is not None:
            self._process().hint("EXPIRE", self._prefix + key, str(ttl_s))

    def noted(self, key: str) -> frozenset[str]:
        """What was noted under `key`."""
        return frozenset(self._asked(lambda of: of.members(self._prefix + key)))

    def delete(self, result_id: str) -> None:
        """Remove the record and what lies beside it, but not a tombstone; an owner's list drops the id when read."""
        self._asked(lambda of: of.delete(self._pair(result_id)))

    def bury(self, result_id: str, *, owner: str, ttl_s: int) -> None:
        """Write a tombstone over the record, and announce the deletion to those who watch the id."""
        gone = Result(id=result_id, state=State.REVOKED, owner=owner, deleted=True)
        event, channel = record.encode_event(gone), self._channel(result_id)
        said: list[Word] = ["all", b"0", record.encode(gone)[0], b"", ttl_s * 1000, channel, event, b""]
        self._asked(lambda of: of.save(self._pair(result_id), said))

    def watch(self, result_id: str) -> AbstractContextManager[EventInbox]:
        """Subscribe to an id; all watches of a process share one connection and one thread.

        Raises IndexUnavailable on entry when the server does not confirm within 3 s.
        """
        return self._process().watcher.watch(self._channel(result_id))

    def ids(self, *, owner: str | None = None, limit: int = 100) -> Iterator[str]:
        """Up to `limit` ids: an owner's, the newest first, or anybody's in no order."""
        return islice(self._anybodys() if owner is None else (one.id for one in self.owned(owner)), limit)

    def owned(self, owner: str) -> Iterator[Owned]:
        """The owner's Results that have a record, or of which something is stored; the newest first."""
        return self._owners.owned(owner)

    def everything(self, owner: str) -> list[str]:
        """Every id of this owner of which something may be stored."""
        return self._owners.everything(owner)

    def enlist(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """Note that something of this id is stored until then."""
        self._owners.enlist(owner, result_id, made_at=made_at, stored_until=stored_until)

    def unlist(self, owner: str, result_ids: list[str]) -> None:
        """List these no more."""
        self._owners.unlist(owner, result_ids)

    def forget(self, owner: str, result_id: str) -> None:
        """Note nothing of this id any more."""
        self._owners.remove(owner, result_id, b"")

    def erase(self, owner: str) -> None:
        """Forget the owner's lists, Events, counts and keys."""
        self._owners.erase(owner)

    @property
    def client(self) -> redis.Redis:
        """The client of this process, for whoever looks into Redis himself; its pool is shared with the index."""
        return self._process().client

    def line(self, *, also: Callable[[str], str] | None = None) -> RedisSubscription[Event]:
        """A line of its own connection, for the process that asks; `also`: a second channel of an id."""
        return RedisSubscription(self._process().connect, channel_of=self._channel, also_of=also, read=read_event)

    def feed(self) -> RedisSubscription[OwnerEvent]:
        """A feed of its own connection, for the process that asks."""
        return RedisSubscription(self._process().connect, channel_of=self._owner_channel, read=read_told)

    def latest(self, owner: str) -> str:
        """The place of the newest Event in the owner's stream; "0-0" where there is none."""
        return self._owners.latest(owner)

    def missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """What was told behind the place `after`; None when `after` is not (or no longer) in the stream."""
        return self._owners.missed(owner, after=after)

    def tell_gone(self, result_id: str, *, owner: str) -> None:
        """Tell the owner that a Result was deleted, and take it off the owner's list."""
        event = record.encode_event(Result(id=result_id, state=DELETED))
        if owner:
            self._owners.remove(owner, result_id, event)
        else:
            self._asked(lambda of: of.client.publish(self._owner_channel(""), b" " + event))

    def kept(self, key: str) -> bytes | None:
        """What was kept under `key`, or None."""
        return self._asked(lambda of: of.get(self._prefix + key))

    def kept_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what `kept` gives for each key, by the MGET that `load_many` uses."""
        return self._read([self._prefix + one for one in keys])

    def keep(self, key: str, content: bytes, *, ttl_s: int | None) -> None:
        """Keep `content` for `ttl_s` (None: for ever) in place of what stood there."""
        self._asked(lambda of: of.client.set(self._prefix + key, content, ex=ttl_s))

    def drop(self, key: str) -> None:
        """Keep nothing under `key` any more."""
        self._asked(lambda of: of.client.unlink(self._prefix + key))

    def claim(self, key: str, holder: str, *, ttl_s: int) -> bool:
        """Whether `holder` has `key` from now on, for `ttl_s` seconds."""
        return bool(self._asked(lambda of: of.claim([self._prefix + key], [holder, ttl_s])))

    def run_script(self, script: str, *, keys: Sequence[str], args: Sequence[Word]) -> list[object]:
        """Run `script` over `keys`, which lie in one Cluster slot. A lost answer repeats it."""
        prefixed = [self._prefix + key for key in keys]
        return self._asked(lambda of: of.script(script, prefixed, args))

    def _anybodys(self) -> Iterator[str]:
        seen: set[str] = set()  # SCAN may name a key twice
        cursor = 0
        for _ in range(_SCAN_ROUNDS):
            cursor, keys = self._asked(_then(cursor, lambda of, at: of.scan(pattern=self._record("*"), cursor=at)))
            names = (key.decode(errors="replace").removeprefix(self._prefix) for key in keys)
            named = (layout.id_of_record_key(name) for name in names)
            found = list({one for one in named if one is not None and one not in seen})
            seen.update(found)
            heads = self._asked(_then(found, lambda of, ids: of.heads(keys=[self._record(one) for one in ids])))
            yield from (one for one, head in zip(found, heads, strict=True) if record.is_live(head))
            if cursor == 0:
                return

    def _read(self, keys: list[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for start in range(0, len(keys), _READ_AT_ONCE):
            found += self._asked(_then(keys[start : start + _READ_AT_ONCE], lambda of, some: of.mget(some)))
        return found

    def _process(self) -> RedisClient:
        mine = self._processes.get(os.getpid())
        return mine or self._processes.setdefault(os.getpid(), self._open())

    def check_id(self, result_id: str) -> None:
        """Raise BadReference for an id that has no slot in a Redis Cluster."""
        self._record(result_id)

    def _record(self, result_id: str) -> str:
        if result_id.startswith("}") and self._is_cluster:
            raise BadReference(f"the id {result_id!r} begins with a brace: a Redis Cluster has no slot for it")
        return self._prefix + layout.record_key(result_id)

    def _beside(self, result_id: str) -> str:
        return self._prefix + layout.beside_key(result_id)

    def _pair(self, result_id: str) -> list[str]:
        return [self._record(result_id), self._beside(result_id)]

    def _channel(self, result_id: str) -> str:
        return self._prefix + layout.channel(result_id)

    def _owner_channel(self, owner: str) -> str:
        return self._prefix + layout.owner_channel(owner)

    def _asked(self, question: Callable[[RedisClient], _T]) -> _T:
        process = self._process()
        last_try_at = time.monotonic() + _RETRY_BUDGET_S
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return question(process)
            except (redis.ConnectionError, redis.TimeoutError, redis.RedisClusterException) as error:
                pause_s *= random.uniform(1.5, 2.5)  # noqa: S311  jitter
                if time.monotonic() + pause_s > last_try_at or isinstance(error, redis.AuthenticationError):
                    raise self._unavailable(error) from error
            except redis.RedisError as error:
                raise self._unavailable(error) from error
            time.sleep(pause_s)

    def _unavailable(self, error: Exception) -> IndexUnavailable:
        return IndexUnavailable(
            f"the index at {self._where} does not serve us ({error}): see that Redis runs, has memory left and can be "
            f"reached from here, and that RESULTSTORE_INDEX_URL names it with the right password"
        )


def _then(given: _G, question: Callable[[RedisClient, _G], _T]) -> Callable[[RedisClient], _T]:
    """A question about `given` as it is now: a loop may go on to the next before it is asked."""
    return lambda of: question(of, given)
