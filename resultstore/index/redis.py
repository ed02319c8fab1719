"""Redis: an Index on a Redis or Valkey server; one Lua script a transition."""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib import resources
from itertools import chain, islice, repeat
from typing import Final, TypeVar, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from resultstore.index.index import Over
from resultstore.index.mailbox import Mailbox
from resultstore.index.watcher import Connection, Watcher
from resultstore.model import layout, record
from resultstore.model.errors import IndexUnavailable, Misconfigured
from resultstore.model.result import Result

_T = TypeVar("_T")
_Word = bytes | str | float

_CONNECT_TIMEOUT_S: Final = 2.0
_SOCKET_TIMEOUT_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.02
_RETRY_BUDGET_S: Final = 3.0  # no try begins later than this; rides out a restart, not an outage
_POOL_CONNECTIONS: Final = 64
_SCAN_BATCH: Final = 1_000
_SCAN_ROUNDS: Final = 1_000  # a listing looks at a million keys at most, whatever else lives in this database
_OWNED_PAGE: Final = 200
_OWNED_MAX: Final = 10_000
_OWNER_EVENTS_MAX: Final = 1_000


class RedisIndex:
    """Results in Redis: `rs:{id}` the record, `rs:{id}:+` what is too big for a poll.

    The client is opened at first use, once per process, so that a fork gets its own.
    The client's own retries are off; ours last 3 s, and every write may be repeated.

    Args:
        url: redis://, rediss:// (TLS) or unix://; redis-py's query options (`socket_timeout=...`) are obeyed.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._where = _address(url)
        self._processes = {os.getpid(): _Process(url, self._where)}

    def peek(self, result_id: str) -> Result | None:
        """The small record alone: one GET, whatever the size of the value."""
        main = self._asked(lambda of: of.get(layout.record_key(result_id)))
        return None if main is None else record.decode(result_id, main, None)

    def load(self, result_id: str) -> Result | None:
        """The record with what lies beside it: one MGET. None as well where Redis evicted the part beside."""
        keys = [layout.record_key(result_id), layout.beside_key(result_id)]
        main, beside = self._asked(lambda of: of.mget(keys))
        if main is None or (beside is None and record.has_beside(main)):
            return None
        return record.decode(result_id, main, beside)

    def save(self, result: Result, *, ttl_s: int | None, over: Over = Over.ANYTHING) -> bool:
        """Write the record if `over` allows, let it expire after `ttl_s` seconds, and announce it: one round trip.

        With an owner a second one lists the id and adds the Event to the owner's stream. A crash between the two
        leaves the record right and the list one hint short, until the next transition.
        """
        main, beside = record.encode(result)
        event = record.encode_event(result)
        life_ms = b"" if ttl_s is None else b"%d" % max(1, ttl_s * 1000)
        keys = [layout.record_key(result.id), layout.beside_key(result.id)]
        said: list[_Word] = [main, beside or b"", life_ms, layout.channel(result.id), event]
        again = chain([b"0"], repeat(b"1"))  # a retry may meet its own first try
        written = bool(self._asked(lambda of: of.save(keys, [str(over), next(again), *said])))
        if written and result.owner:
            self._enlist(result, life_ms, event)
        return written

    def delete(self, result_id: str) -> None:
        """Remove the record and what lies beside it; an owner's list drops the id when it is read."""
        keys = [layout.record_key(result_id), layout.beside_key(result_id)]
        self._asked(lambda of: of.client.unlink(*keys))

    def watch(self, result_id: str) -> AbstractContextManager[Mailbox]:
        """Subscribe to an id; all watches of a process share one connection and one thread.

        Raises IndexUnavailable on entry when the server does not confirm within 3 s.
        """
        return self._process().watcher.watch(layout.channel(result_id))

    def ids(self, *, owner: str | None = None, limit: int = 100) -> Iterator[str]:
        """Up to `limit` ids: an owner's, the newest first, or anybody's in no order."""
        return islice(self._anybodys() if owner is None else self._owned_by(owner), limit)

    def _enlist(self, result: Result, life_ms: bytes, event: bytes) -> None:
        made_at = result.created_at or result.changed_at or time.time()
        keys = [layout.owner_key(result.owner), layout.owner_stream_key(result.owner)]
        said: list[_Word] = [result.id, made_at, life_ms, event, _OWNED_MAX, _OWNER_EVENTS_MAX]
        self._asked(lambda of: of.own(keys, said))

    def _anybodys(self) -> Iterator[str]:
        seen: set[str] = set()  # SCAN may name a key twice
        cursor = 0
        for _ in range(_SCAN_ROUNDS):
            cursor, keys = self._asked(partial(_Process.scan, cursor=cursor))
            found = {layout.id_of_record_key(key.decode(errors="replace")) for key in keys}
            yield from (one for one in found if one is not None and one not in seen)
            seen.update(one for one in found if one is not None)
            if cursor == 0:
                return

    def _owned_by(self, owner: str) -> Iterator[str]:
        key, start = layout.owner_key(owner), 0
        while page := self._asked(partial(_Process.newest, key=key, start=start)):
            exist = self._asked(partial(_Process.exist, keys=[layout.record_key(one) for one in page]))
            gone = [one for one, exists in zip(page, exist, strict=True) if not exists]
            if gone:
                self._asked(partial(_Process.unlist, key=key, ids=gone))
            start += len(page) - len(gone)
            yield from (one for one, exists in zip(page, exist, strict=True) if exists)

    def _process(self) -> "_Process":
        mine = self._processes.get(os.getpid())
        return mine or self._processes.setdefault(os.getpid(), _Process(self._url, self._where))

    def _asked(self, question: Callable[["_Process"], _T]) -> _T:
        process = self._process()
        last_try_at = time.monotonic() + _RETRY_BUDGET_S
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return question(process)
            except (redis.ConnectionError, redis.TimeoutError) as error:
                pause_s *= random.uniform(1.5, 2.5)  # noqa: S311  jitter
                if time.monotonic() + pause_s > last_try_at or isinstance(error, redis.AuthenticationError):
                    raise self._unavailable(error) from error
            except redis.RedisError as error:
                raise self._unavailable(error) from error
            time.sleep(pause_s)

    def _unavailable(self, error: redis.RedisError) -> IndexUnavailable:
        return IndexUnavailable(
            f"the index at {self._where} does not serve us ({error}): see that Redis runs, has memory left and can be "
            f"reached from here, and that RESULTSTORE_INDEX_URL names it with the right password"
        )


class _Process:
    """What one process needs: a client with its pool, the scripts, the watcher. Connects at first use.

    The answers are typed here once: redis-py's types allow for other settings than ours (text, async, RESP3).
    """

    def __init__(self, url: str, where: str) -> None:
        self._pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=_POOL_CONNECTIONS,
            timeout=_SOCKET_TIMEOUT_S,
            protocol=2,  # nothing here needs RESP3, and the greeting is shorter
            socket_connect_timeout=_CONNECT_TIMEOUT_S,
            socket_timeout=_SOCKET_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self.client = redis.Redis(connection_pool=self._pool)
        self.save = self.client.register_script(_script("save.lua"))
        self.own = self.client.register_script(_script("own.lua"))
        self.watcher = Watcher(self._connect, where=where)

    def get(self, key: str) -> bytes | None:
        return cast("bytes | None", self.client.get(key))

    def mget(self, keys: list[str]) -> list[bytes | None]:
        return cast("list[bytes | None]", self.client.mget(keys))

    def scan(self, *, cursor: int) -> tuple[int, list[bytes]]:
        return cast("tuple[int, list[bytes]]", self.client.scan(cursor, match="rs:{*}", count=_SCAN_BATCH))

    def newest(self, *, key: str, start: int) -> list[str]:
        page = cast("list[bytes]", self.client.zrevrange(key, start, start + _OWNED_PAGE - 1))
        return [one.decode() for one in page]

    def exist(self, *, keys: list[str]) -> list[int]:
        questions = self.client.pipeline(transaction=False)
        for key in keys:
            questions.exists(key)
        return cast("list[int]", questions.execute())

    def unlist(self, *, key: str, ids: list[str]) -> None:
        self.client.zrem(key, *ids)

    def _connect(self) -> Connection:
        connection = cast("Connection", self._pool.connection_class(**self._pool.connection_kwargs))
        connection.connect()
        return connection


def _script(name: str) -> str:
    return resources.files("resultstore.index").joinpath(name).read_text(encoding="utf-8")


def _address(url: str) -> str:
    """Host and port, or the socket's path: what messages may say of `url`."""
    try:
        parts = urlsplit(url)
        remote = f"{parts.hostname or '127.0.0.1'}:{parts.port or 6379}"
        address = {"redis": remote, "rediss": remote, "unix": parts.path}.get(parts.scheme, "")
        redis.ConnectionPool.from_url(url)
    except ValueError:
        address = ""
    if not address:
        # `from None`: a parser's message may quote a piece of the password
        raise Misconfigured(
            "RESULTSTORE_INDEX_URL is no URL of a Redis: write redis://[user:password@]host:port/db, rediss:// or "
            "unix:///path?db=0, with special characters of the password percent-encoded"
        ) from None
    return address
