"""RetryingClient: one Redis client per process, whose requests ride out a restart of Redis."""

import os
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import redis
from redis.exceptions import RedisClusterException

from resultstore.index.redis.client import RedisClient
from resultstore.index.redis.cluster import RedisClusterClient, is_cluster
from resultstore.index.redis.pool import Options, address
from resultstore.model.errors import IndexUnavailable

_T = TypeVar("_T")
_G = TypeVar("_G")

_FIRST_PAUSE_S: Final = 0.02
_RETRY_BUDGET_S: Final = 3.0  # no retry begins later; rides out a restart, not an outage
_KEYS_PER_READ: Final = 2_000  # even: a record and its larger parts are read together
# By what the messages of redis-py, OpenSSL and Redis have in common.
_REMEDIES: Final = {
    "Protocol error": "this is not a Redis server, correct the host and the port in RESULTSTORE_INDEX_URL",
    "Protocol Error": "this is not a Redis server, correct the host and the port in RESULTSTORE_INDEX_URL",
    "certificate verify failed": "name a file with the certificate of its authority in SSL_CERT_FILE",
    "wrong version number": "write redis:// in RESULTSTORE_INDEX_URL, since it does not speak TLS",
    "record layer failure": "write redis:// in RESULTSTORE_INDEX_URL, since it does not speak TLS",
    "maxmemory": "raise maxmemory in redis.conf, or delete what other programs keep there",
    "read only replica": "name the primary, not its replica, in RESULTSTORE_INDEX_URL",
    "Connection refused": "see that Redis runs, or correct RESULTSTORE_INDEX_URL",
    "not known": "correct the host name in RESULTSTORE_INDEX_URL",
}


class RetryingClient:
    """Opens a client per process at first use, so that a fork gets its own.

    redis-py's own retries are off: these last 3 s, and every request may be repeated.

    Args:
        url: as RedisIndex takes it.
        options: redis-py's arguments of a connection.
    """

    def __init__(self, url: str, options: Options) -> None:
        self._where = address(url)
        self.is_cluster = is_cluster(url)
        kind = RedisClusterClient if self.is_cluster else RedisClient
        self._open = partial(kind, url, self._where, options)
        self._clients = {os.getpid(): self._open()}
        self.current().check()

    def current(self) -> RedisClient:
        """Return the client of this process."""
        return self._clients.get(os.getpid()) or self._clients.setdefault(os.getpid(), self._open())

    def ask(self, request: Callable[[RedisClient], _T]) -> _T:
        """Return the answer to a request, repeated with back-off while Redis is away. Raises IndexUnavailable."""
        client = self.current()
        last_try_at = time.monotonic() + _RETRY_BUDGET_S
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return request(client)
            except (redis.ConnectionError, redis.TimeoutError, RedisClusterException) as error:
                pause_s *= random.uniform(1.5, 2.5)  # noqa: S311  jitter
                if time.monotonic() + pause_s > last_try_at or isinstance(error, redis.AuthenticationError):
                    raise self._unavailable(error) from error
            except redis.RedisError as error:
                raise self._unavailable(error) from error
            time.sleep(pause_s)

    def read(self, keys: list[str]) -> list[bytes | None]:
        """Return the values of many keys: one MGET for up to 2,000 of them; in a Cluster, one for each slot."""
        found: list[bytes | None] = []
        for start in range(0, len(keys), _KEYS_PER_READ):
            found += self.ask(bound(keys[start : start + _KEYS_PER_READ], lambda client, some: client.mget(some)))
        return found

    def _unavailable(self, error: Exception) -> IndexUnavailable:
        return IndexUnavailable(f"the index at {self._where} cannot be used ({error}): {_remedy(error)}")


def _remedy(error: Exception) -> str:
    text = str(error)
    if isinstance(error, redis.AuthenticationError):
        return "correct the user and the password in RESULTSTORE_INDEX_URL"
    for sign, remedy in _REMEDIES.items():
        if sign in text:
            return remedy
    return (
        "see that Redis runs, has memory left and can be reached from here, "
        "and that RESULTSTORE_INDEX_URL names it with the right password"
    )


def bound(given: _G, request: Callable[[RedisClient, _G], _T]) -> Callable[[RedisClient], _T]:
    """Bind a request to the present value of a loop variable."""
    return lambda client: request(client, given)
