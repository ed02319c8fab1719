"""NoReplyConnection: sends commands without waiting for an answer; any of them may be lost."""

import threading
import time
from collections.abc import Callable
from typing import Final

import redis

from resultstore.index.redis.watcher import PubSubConnection

_RETRY_S: Final = 1.0


class NoReplyConnection:
    """A connection on which the server sends no answers (`CLIENT REPLY OFF`).

    Args:
        connect: opens a connection outside any pool; raises redis.RedisError.
    """

    def __init__(self, connect: Callable[[], PubSubConnection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: PubSubConnection | None = None
        self._retry_at = 0.0

    def send(self, *args: str | bytes) -> None:
        """Send one command. While the server is away, drop it."""
        with self._lock:
            try:
                connection = self._open()
                if connection is not None:
                    connection.send_command(*args)
            except (redis.RedisError, OSError):
                self._connection = None
                self._retry_at = time.monotonic() + _RETRY_S

    def _open(self) -> PubSubConnection | None:
        # redis-py reopens a closed connection, but without CLIENT REPLY OFF: unread answers would fill its buffer.
        if self._connection is not None and self._connection._sock is None:  # noqa: SLF001 - it has no public name
            self._connection = None
        if self._connection is None and time.monotonic() >= self._retry_at:
            self._connection = self._connect()
            self._connection.send_command("CLIENT", "REPLY", "OFF")
        return self._connection
