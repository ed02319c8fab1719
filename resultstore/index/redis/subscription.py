"""RedisSubscription: one connection subscribed to many ids or owners, read by the thread that waits."""

import contextlib
import random
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

import redis

from resultstore.index.redis.watcher import PubSubConnection
from resultstore.telemetry.logs import Log

_log = Log(__name__)

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0

_Message = TypeVar("_Message")


class RedisSubscription(Generic[_Message]):
    """Implements `Subscription` and `Feed`.

    A lock guards writing and parsing, but not waiting for the socket: other threads may listen and leave then.

    Args:
        connect: opens a connection outside any pool; raises redis.RedisError.
        channel_of: returns the channel of an id.
        also_of: returns a second channel of an id.
        read: decodes a message about an id; None means that the id is subscribed from now on.
    """

    def __init__(
        self,
        connect: Callable[[], PubSubConnection],
        *,
        channel_of: Callable[[str], str],
        read: Callable[[str, bytes | None], _Message],
        also_of: Callable[[str], str] | None = None,
    ) -> None:
        self._connect = connect
        self._channels_of = (channel_of,) if also_of is None else (channel_of, also_of)
        self._read = read
        self._lock = threading.Lock()  # not reentrant: a garbage collector may call `leave` while it is held
        self._ids: dict[str, str] = {}  # by channel
        self._leaving: set[str] = set()  # channels that the next holder of the lock unsubscribes
        self._connection: PubSubConnection | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._listening = threading.Event()
        self._has_warned = False

    def listen(self, result_ids: Sequence[str]) -> None:
        """Subscribe to these ids. While the server is away, they are remembered."""
        with self._held():
            wanted = {channel_of(one): one for one in result_ids for channel_of in self._channels_of}
            new = {channel: one for channel, one in wanted.items() if channel not in self._ids}
            self._leaving.difference_update(wanted)
            self._ids |= new
            if self._connection is None:
                self._restore()
            elif new:
                self._send("SUBSCRIBE", new)
        self._listening.set()

    def leave(self, *result_ids: str) -> None:
        """Unsubscribe from these ids. If the lock is held, its holder does so."""
        self._leaving.update(channel_of(one) for one in result_ids for channel_of in self._channels_of)
        self._unsubscribe_leaving()

    def wait(self, timeout_s: float) -> list[_Message]:
        """Return the Events that came, after `timeout_s` at the latest. One caller at a time."""
        with self._held():
            connection = self._restore() if self._ids else None
            events = [] if connection is None else self._take(connection)
            is_idle = not self._ids
            if is_idle:
                self._listening.clear()
        if events:
            return events
        if connection is None:
            # Without ids, wait until `listen` is called. If the server is away, wait until the next attempt.
            pause_s = timeout_s if is_idle else min(timeout_s, max(0.0, self._retry_at - time.monotonic()))
            if is_idle:
                self._listening.wait(pause_s)
            else:
                time.sleep(pause_s)
            return []
        if not _readable(connection, timeout_s):
            return []
        with self._held():
            return self._take(connection) if connection is self._connection else []

    def close(self) -> None:
        """Unsubscribe from everything."""
        with self._held():
            self._ids.clear()
            self._disconnect()

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        finally:
            self._unsubscribe_leaving()

    def _unsubscribe_leaving(self) -> None:
        # Repeated after each release: a caller of `leave` could not unsubscribe while the lock was held.
        while self._leaving and self._lock.acquire(blocking=False):
            try:
                gone = [channel for channel in self._drain_leaving() if self._ids.pop(channel, None) is not None]
                if gone and self._connection is not None:
                    self._send("UNSUBSCRIBE", gone)
            finally:
                self._lock.release()

    def _drain_leaving(self) -> Iterator[str]:
        with contextlib.suppress(KeyError):
            while True:
                yield self._leaving.pop()

    def _restore(self) -> PubSubConnection | None:
        """Return the connection; reopen it if the next attempt is due, and subscribe to all ids again."""
        if self._connection is not None and self._connection._sock is None:  # noqa: SLF001 - as in `_readable`
            self._disconnect()
        if self._connection is None and time.monotonic() >= self._retry_at:
            try:
                self._connection = self._connect()
            except (redis.RedisError, OSError):
                self._disconnect()
            else:
                self._failures = 0
                if self._ids:
                    self._send("SUBSCRIBE", self._ids)
        return self._connection

    def _send(self, command: str, channels: Sequence[str] | dict[str, str]) -> None:
        try:
            # redis-py reopens a closed connection, but without its subscriptions.
            if self._connection is not None and self._connection._sock is not None:  # noqa: SLF001 - as in `_readable`
                self._connection.send_command(command, *channels)
        except (redis.RedisError, OSError):
            self._disconnect()

    def _take(self, connection: PubSubConnection) -> list[_Message]:
        """Return the messages that have arrived. Close a lost connection; the next wait reopens it."""
        events: list[_Message] = []
        try:
            while connection._sock is not None and connection.can_read(timeout=0):  # noqa: SLF001 - the same
                event = self._event(connection.read_response())
                if event is not None:
                    events.append(event)
        except redis.exceptions.NoPermissionError as error:
            self._warn_refused(error)
            self._disconnect()
        except (redis.RedisError, OSError):
            self._disconnect()
        return events

    def _warn_refused(self, error: redis.RedisError) -> None:
        """Log once that waiters only learn of changes by polling."""
        if not self._has_warned:
            _log.warning("channels_refused", error=str(error), remedy="add &rs:* to the ACL rule of this user")
        self._has_warned = True

    def _event(self, message: list[bytes]) -> _Message | None:
        kind, channel = message[0], message[1].decode()
        result_id = self._ids.get(channel)
        if result_id is None or kind == b"unsubscribe":
            return None
        return self._read(result_id, message[2] if kind == b"message" else None)

    def _disconnect(self) -> None:
        """Close the connection. The first attempt after a loss is made at once, the next with back-off and jitter."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None
            self._retry_at = 0.0
            return
        longest_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
        self._failures += 1
        self._retry_at = time.monotonic() + longest_s * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret


def _readable(connection: PubSubConnection, timeout_s: float) -> bool:
    """Return whether the socket is readable within `timeout_s`. Touches no parser or buffer, so it needs no lock."""
    try:
        socket = connection._sock  # noqa: SLF001 - redis-py has no public name
        if not hasattr(select, "poll"):  # eventlet removes it
            return bool(select.select([socket], [], [], timeout_s)[0])
        poller = select.poll()
        poller.register(socket, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))
    except (AttributeError, OSError, TypeError, ValueError):
        return True  # it was closed: the next step handles that under the lock
