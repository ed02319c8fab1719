"""RedisSubscription: one connection that hears many ids or owners, read by the thread that waits."""

import contextlib
import logging
import random
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

import redis

from resultstore.index.redis.watcher import PubSubConnection

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0

_Word = TypeVar("_Word")


class RedisSubscription(Generic[_Word]):
    """Writing and parsing happen under a lock; waiting for the socket does not, so others may listen and leave then.

    Args:
        connect: opens a connection of its own, outside any pool; raises redis.RedisError.
        channel_of: the channel of an id.
        also_of: another channel of it, where there is one.
        read: what an id's waiter gets for a message; for None, that the id is heard from now on.
    """

    def __init__(
        self,
        connect: Callable[[], PubSubConnection],
        *,
        channel_of: Callable[[str], str],
        read: Callable[[str, bytes | None], _Word],
        also_of: Callable[[str], str] | None = None,
    ) -> None:
        self._connect = connect
        self._of = (channel_of,) if also_of is None else (channel_of, also_of)
        self._read = read
        self._lock = threading.Lock()  # not reentrant: a garbage collector that comes in here must stay out
        self._heard: dict[str, str] = {}  # channel: id
        self._leaving: set[str] = set()  # channels whose end is left to whoever holds the lock
        self._connection: PubSubConnection | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._called = threading.Event()
        self._refused = False

    def listen(self, result_ids: Sequence[str]) -> None:
        """Begin to hear these ids; while the server is away they are remembered."""
        with self._held():
            wanted = {channel_of(one): one for one in result_ids for channel_of in self._of}
            new = {channel: one for channel, one in wanted.items() if channel not in self._heard}
            self._leaving.difference_update(wanted)
            self._heard |= new
            if self._connection is None:
                self._restore()
            elif new:
                self._tell("SUBSCRIBE", new)
        self._called.set()

    def leave(self, *result_ids: str) -> None:
        """Stop hearing these ids; a busy lock's holder says it to the server."""
        self._leaving.update(channel_of(one) for one in result_ids for channel_of in self._of)
        self._say_goodbye()

    def wait(self, timeout_s: float) -> list[_Word]:
        """The Events that have come, at the latest after `timeout_s`; for one caller at a time."""
        with self._held():
            connection = self._restore() if self._heard else None
            events = [] if connection is None else self._take(connection)
            silent = not self._heard
            if silent:
                self._called.clear()
        if events:
            return events
        if connection is None:
            # Nothing to hear: until somebody listens. A server that is away: until it is time to try again.
            pause_s = timeout_s if silent else min(timeout_s, max(0.0, self._retry_at - time.monotonic()))
            if silent:
                self._called.wait(pause_s)
            else:
                time.sleep(pause_s)
            return []
        if not _readable(connection, timeout_s):
            return []
        with self._held():
            return self._take(connection) if connection is self._connection else []

    def close(self) -> None:
        """Hear nothing any more."""
        with self._held():
            self._heard.clear()
            self._hang_up()

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        finally:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        # Asked again after each release: what came while the lock was held could not be said by its bringer.
        while self._leaving and self._lock.acquire(blocking=False):
            try:
                gone = [channel for channel in self._drain_leaving() if self._heard.pop(channel, None) is not None]
                if gone and self._connection is not None:
                    self._tell("UNSUBSCRIBE", gone)
            finally:
                self._lock.release()

    def _drain_leaving(self) -> Iterator[str]:
        with contextlib.suppress(KeyError):
            while True:
                yield self._leaving.pop()

    def _restore(self) -> PubSubConnection | None:
        """The connection, opened if there is none and if it is time to try; then all ids are asked for anew."""
        if self._connection is not None and self._connection._sock is None:  # noqa: SLF001 - as in `_readable`
            self._hang_up()
        if self._connection is None and time.monotonic() >= self._retry_at:
            try:
                self._connection = self._connect()
            except (redis.RedisError, OSError):
                self._hang_up()
            else:
                self._failures = 0
                if self._heard:
                    self._tell("SUBSCRIBE", self._heard)
        return self._connection

    def _tell(self, command: str, channels: Sequence[str] | dict[str, str]) -> None:
        try:
            # redis-py opens a closed connection again by itself, and that one would hear nothing of what was before.
            if self._connection is not None and self._connection._sock is not None:  # noqa: SLF001 - as in `_readable`
                self._connection.send_command(command, *channels)
        except (redis.RedisError, OSError):
            self._hang_up()

    def _take(self, connection: PubSubConnection) -> list[_Word]:
        """What lies there to be read; a lost connection is given up, and restored by the next wait."""
        events: list[_Word] = []
        try:
            while connection._sock is not None and connection.can_read(timeout=0):  # noqa: SLF001 - the same
                event = self._event(connection.read_response())
                if event is not None:
                    events.append(event)
        except redis.exceptions.NoPermissionError as error:
            self._warn_refused(error)
            self._hang_up()
        except (redis.RedisError, OSError):
            self._hang_up()
        return events

    def _warn_refused(self, error: redis.RedisError) -> None:
        """Say once that waiters are woken by their next look alone."""
        if not self._refused:
            _log.warning("channels_refused reason=%r remedy=%r", str(error), "add &rs:* to the ACL rule of this user")
        self._refused = True

    def _event(self, message: list[bytes]) -> _Word | None:
        kind, channel = message[0], message[1].decode()
        result_id = self._heard.get(channel)
        if result_id is None or kind == b"unsubscribe":
            return None
        return self._read(result_id, message[2] if kind == b"message" else None)

    def _hang_up(self) -> None:
        """The first try after a loss is made at once, the next ones later and later (full jitter)."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None
            self._retry_at = 0.0
            return
        longest_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**self._failures)
        self._failures += 1
        self._retry_at = time.monotonic() + longest_s * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret


def _readable(connection: PubSubConnection, timeout_s: float) -> bool:
    """Whether the socket has something within `timeout_s`; touches neither parser nor buffer, so it needs no lock."""
    try:
        socket = connection._sock  # noqa: SLF001 - redis-py has no public name
        if not hasattr(select, "poll"):  # eventlet takes it away
            return bool(select.select([socket], [], [], timeout_s)[0])
        poller = select.poll()
        poller.register(socket, select.POLLIN)
        return bool(poller.poll(timeout_s * 1000))
    except (AttributeError, OSError, TypeError, ValueError):
        return True  # it was closed meanwhile: the next step, under the lock, sees what is the case
