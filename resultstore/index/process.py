"""Process: what one process needs of Redis."""

from collections.abc import Sequence
from importlib import resources
from typing import Final, cast

import redis
from redis.commands.core import Script

from resultstore.index.hints import Hints
from resultstore.index.pool import Options, open_pool
from resultstore.index.watcher import Connection, Watcher

Word = bytes | str | float

_SCAN_BATCH: Final = 1_000
_OWNED_PAGE: Final = 200


class Process:
    """A client with its pool, the scripts, the watcher. Connects at first use.

    The answers are typed here once: redis-py's types allow for other settings than ours (text, async, RESP3).
    """

    def __init__(self, url: str, where: str, options: Options) -> None:
        self._pool = open_pool(url, options)
        self.client = redis.Redis(connection_pool=self._pool)
        self.save = self.client.register_script(_script("save.lua"))
        self.own = self.client.register_script(_script("own.lua"))
        self.claim = self.client.register_script(_script("claim.lua"))
        self.watcher = Watcher(self.connect, where=where)
        self.hints = Hints(self.connect)
        self._scripts: dict[str, Script] = {}

    def connect(self) -> Connection:
        """A connection outside the pool, for messages: a health check's PONG would be taken for one of them."""
        chosen = {**self._pool.connection_kwargs, "health_check_interval": 0}
        connection = cast("Connection", self._pool.connection_class(**chosen))
        connection.connect()
        return connection

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

    def newest(self, *, key: str, start: int) -> list[str]:
        """A page of a sorted set, from its highest score down."""
        page = cast("list[bytes]", self.client.zrevrange(key, start, start + _OWNED_PAGE - 1))
        return [one.decode() for one in page]

    def exist(self, *, keys: list[str]) -> list[int]:
        """For each key 1 when it is there, else 0."""
        questions = self.client.pipeline(transaction=False)
        for key in keys:
            questions.exists(key)
        return cast("list[int]", questions.execute())

    def unlist(self, *, key: str, ids: list[str]) -> None:
        """Take ids off a sorted set."""
        self.client.zrem(key, *ids)


def _script(name: str) -> str:
    return resources.files("resultstore.index").joinpath(name).read_text(encoding="utf-8")
