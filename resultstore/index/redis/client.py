"""Process: what one process needs of Redis."""

from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from typing import Final, cast

import redis
from redis.commands.core import Script

from resultstore.index.redis.no_reply import NoReplyConnection
from resultstore.index.redis.pool import Options, open_pool
from resultstore.index.redis.watcher import PubSubConnection, Watcher

Word = bytes | str | float

_SCAN_BATCH: Final = 1_000


def _text(name: str) -> str:
    return resources.files("resultstore.index.redis").joinpath(name).read_text(encoding="utf-8")


_SAVE: Final = _text("save.lua")
_DELETE: Final = _text("delete.lua")
_OWN: Final = _text("own.lua")
_CLAIM: Final = _text("claim.lua")


class RedisClient:
    """A client with its pool, the scripts, the watcher. Connects at first use.

    The answers are typed here once: redis-py's types allow for other settings than ours (text, async, RESP3).
    """

    def __init__(self, url: str, where: str, options: Options) -> None:
        self._url = url
        self._options = options
        self.watcher = Watcher(self.connect, where=where)
        self._no_reply = NoReplyConnection(self.connect)
        self._scripts: dict[str, Script] = {}

    def check(self) -> None:
        """Raises Misconfigured for a URL or options that cannot be right; makes no request."""
        self.client  # noqa: B018 - made here

    @cached_property
    def client(self) -> redis.Redis:
        """What speaks to the server."""
        return redis.Redis(connection_pool=open_pool(self._url, self._options))

    def connect(self) -> PubSubConnection:
        """A connection outside the pool, for messages."""
        return connected(self.client.connection_pool)

    def send_unconfirmed(self, command: str, key: str, *words: str | bytes) -> None:
        """Say one command about one key; nobody waits for an answer, and while the server is away it is dropped."""
        self._no_reply.send(command, key, *words)

    def save(self, keys: Sequence[str], args: Sequence[Word]) -> object:
        """One transition."""
        return self.script(_SAVE, keys, args)

    def delete(self, keys: Sequence[str]) -> object:
        """Remove one record."""
        return self.script(_DELETE, keys, [])

    def update_owner(self, keys: Sequence[str], args: Sequence[Word]) -> object:
        """What an owner hears of it."""
        return self.script(_OWN, keys, args)

    def claim(self, keys: Sequence[str], args: Sequence[Word]) -> object:
        """One of many gets a key."""
        return self.script(_CLAIM, keys, args)

    def script(self, script: str, keys: Sequence[str], args: Sequence[Word]) -> list[object]:
        """Run a script that was registered once."""
        known = self._scripts.get(script) or self._scripts.setdefault(script, self.client.register_script(script))
        return cast("list[object]", known(keys, args))

    def get(self, key: str) -> bytes | None:
        """One key."""
        return cast("bytes | None", self.client.get(key))

    def mget(self, keys: list[str]) -> list[bytes | None]:
        """Many keys."""
        return cast("list[bytes | None]", self.client.mget(keys))

    def members(self, key: str) -> list[str]:
        """All of a set."""
        return [one.decode() for one in cast("set[bytes]", self.client.smembers(key))]

    def scan(self, *, pattern: str, cursor: int) -> tuple[int, list[bytes]]:
        """The next keys like `pattern`, and the cursor behind them."""
        return cast("tuple[int, list[bytes]]", self.client.scan(cursor, match=pattern, count=_SCAN_BATCH))

    def heads(self, *, keys: list[str]) -> list[bytes]:
        """The first four bytes of each record; b"" where there is none, and where the key holds something else."""
        if not keys:
            return []
        questions = self.client.pipeline(transaction=False)
        for key in keys:
            questions.getrange(key, 0, 3)
        return [_head(one) for one in questions.execute(raise_on_error=False)]

    def scores(self, *, key: str, members: list[str]) -> list[float | None]:
        """The score of each member of a sorted set."""
        questions = self.client.pipeline(transaction=False)
        for one in members:
            questions.zscore(key, one)
        return cast("list[float | None]", questions.execute())

    def unlink_like(self, pattern: str) -> None:
        """Remove every key like `pattern`; looks at all keys of the database."""
        cursor, keys = self.scan(pattern=pattern, cursor=0)
        while True:
            for key in keys:
                self.client.unlink(key)
            if cursor == 0:
                return
            cursor, keys = self.scan(pattern=pattern, cursor=cursor)


def _head(answer: object) -> bytes:
    """Return the answer; b"" for a key of another type. Raises any other error that the server answered with."""
    if isinstance(answer, redis.ResponseError) and "WRONGTYPE" in str(answer):
        return b""  # `rs:{uploads}` looks like a record's key
    if isinstance(answer, Exception):
        raise answer
    return cast("bytes", answer)


def connected(pool: redis.ConnectionPool) -> PubSubConnection:
    """A new connection like those of `pool`, without health checks: a PONG would be taken for a message."""
    chosen = {**pool.connection_kwargs, "health_check_interval": 0}
    connection = cast("PubSubConnection", pool.connection_class(**chosen))
    connection.connect()
    return connection
