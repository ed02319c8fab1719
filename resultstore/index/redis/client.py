"""RedisClient: the redis-py client of one process, with its scripts and its watcher."""

from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from typing import Final, cast

import redis
from redis.commands.core import Script

from resultstore.index.redis.no_reply import NoReplyConnection
from resultstore.index.redis.pool import Options, open_pool
from resultstore.index.redis.watcher import PubSubConnection, Watcher

Argument = bytes | str | float

_SCAN_BATCH: Final = 1_000


def _text(name: str) -> str:
    return resources.files("resultstore.index.redis").joinpath(name).read_text(encoding="utf-8")


_SAVE: Final = _text("save.lua")
_DELETE: Final = _text("delete.lua")
_OWN: Final = _text("own.lua")
_CLAIM: Final = _text("claim.lua")


class RedisClient:
    """Sends requests over a pool that connects at first use.

    Answers are typed here once, because redis-py's types allow for other settings (text, async, RESP3).

    Args:
        url: as RedisIndex takes it.
        where: host and port, for messages.
        options: redis-py's arguments of a connection.
    """

    def __init__(self, url: str, where: str, options: Options) -> None:
        self._url = url
        self._options = options
        self.watcher = Watcher(self.connect, where=where)
        self._no_reply = NoReplyConnection(self.connect)
        self._scripts: dict[str, Script] = {}

    def check(self) -> None:
        """Raise Misconfigured for an invalid URL or invalid options. Send no request."""
        self.redis_py  # noqa: B018 - a cached property, created here

    @cached_property
    def redis_py(self) -> redis.Redis:
        """The redis-py client."""
        return redis.Redis(connection_pool=open_pool(self._url, self._options))

    def connect(self) -> PubSubConnection:
        """Open a connection outside the pool, for messages."""
        return open_connection(self.redis_py.connection_pool)

    def send_unconfirmed(self, command: str, key: str, *args: str | bytes) -> None:
        """Send one command on one key without waiting for an answer. While the server is away, drop it."""
        self._no_reply.send(command, key, *args)

    def save(self, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """Write a record, or a tombstone (`save.lua`)."""
        return self.script(_SAVE, keys, args)

    def delete(self, keys: Sequence[str]) -> object:
        """Delete a record (`delete.lua`)."""
        return self.script(_DELETE, keys, [])

    def update_owner(self, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """Update the lists and the stream of an owner (`own.lua`)."""
        return self.script(_OWN, keys, args)

    def claim(self, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """Claim a key (`claim.lua`)."""
        return self.script(_CLAIM, keys, args)

    def script(self, script: str, keys: Sequence[str], args: Sequence[Argument]) -> list[object]:
        """Run a script; register it at its first use."""
        known = self._scripts.get(script) or self._scripts.setdefault(script, self.redis_py.register_script(script))
        return cast("list[object]", known(keys, args))

    def get(self, key: str) -> bytes | None:
        """Return the value of a key."""
        return cast("bytes | None", self.redis_py.get(key))

    def mget(self, keys: list[str]) -> list[bytes | None]:
        """Return the values of many keys."""
        return cast("list[bytes | None]", self.redis_py.mget(keys))

    def read_members(self, key: str) -> list[str]:
        """Return the members of a set."""
        return [one.decode() for one in cast("set[bytes]", self.redis_py.smembers(key))]

    def scan(self, *, pattern: str, cursor: int, whole: bool = True) -> tuple[int, list[bytes]]:  # noqa: ARG002
        """Return the next cursor, and the next keys that match `pattern`."""
        return cast("tuple[int, list[bytes]]", self.redis_py.scan(cursor, match=pattern, count=_SCAN_BATCH))

    def read_heads(self, *, keys: list[str]) -> list[bytes]:
        """Return the first four bytes of each record; b"" for a missing key, or one of another type."""
        if not keys:
            return []
        pipeline = self.redis_py.pipeline(transaction=False)
        for key in keys:
            pipeline.getrange(key, 0, 3)
        return [_head(one) for one in pipeline.execute(raise_on_error=False)]

    def read_scores(self, *, key: str, members: list[str]) -> list[float | None]:
        """Return the score of each member of a sorted set."""
        pipeline = self.redis_py.pipeline(transaction=False)
        for one in members:
            pipeline.zscore(key, one)
        return cast("list[float | None]", pipeline.execute())

    def read_memory(self) -> list[dict[str, str | int]]:
        """Return the section `memory` of INFO, of each server that holds data."""
        return [cast("dict[str, str | int]", self.redis_py.info("memory"))]

    def unlink_like(self, pattern: str) -> None:
        """Delete every key that matches `pattern`. Scans all keys of the database."""
        cursor, keys = self.scan(pattern=pattern, cursor=0)
        while True:
            for key in keys:
                self.redis_py.unlink(key)
            if cursor == 0:
                return
            cursor, keys = self.scan(pattern=pattern, cursor=cursor)


def _head(answer: object) -> bytes:
    """Return the answer; b"" for a key of another type. Raise any other error that the server returned."""
    if isinstance(answer, redis.ResponseError) and "WRONGTYPE" in str(answer):
        return b""  # `rs:{uploads}` looks like a record's key
    if isinstance(answer, Exception):
        raise answer
    return cast("bytes", answer)


def open_connection(pool: redis.ConnectionPool) -> PubSubConnection:
    """Open a connection like those of `pool`, but without health checks: a PONG would be read as a message."""
    chosen = {**pool.connection_kwargs, "health_check_interval": 0}
    connection = cast("PubSubConnection", pool.connection_class(**chosen))
    connection.connect()
    return connection
