"""Hints: writes small things that nobody waits for, and that may be lost."""

import threading
import time
from collections.abc import Callable
from typing import Final

import redis

from resultstore.index.redis.watcher import PubSubConnection

_RETRY_S: Final = 1.0


class NoReplyConnection:
    """A connection on which the server answers nothing (`CLIENT REPLY OFF`), so that no caller waits for it.

    Args:
        connect: opens a connection of its own, outside any pool; raises redis.RedisError.
    """

    def __init__(self, connect: Callable[[], PubSubConnection]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: PubSubConnection | None = None
        self._retry_at = 0.0

    def send(self, *words: str | bytes) -> None:
        """Say one command; while the server is away it is dropped."""
        with self._lock:
            try:
                connection = self._open()
                if connection is not None:
                    connection.send_command(*words)
            except (redis.RedisError, OSError):
                self._connection = None
                self._retry_at = time.monotonic() + _RETRY_S

    def _open(self) -> PubSubConnection | None:
        # redis-py opens a closed connection again by itself, and that one would be answered, and fill up.
        if self._connection is not None and self._connection._sock is None:  # noqa: SLF001 - it has no public name
            self._connection = None
        if self._connection is None and time.monotonic() >= self._retry_at:
            self._connection = self._connect()
            self._connection.send_command("CLIENT", "REPLY", "OFF")
        return self._connection
