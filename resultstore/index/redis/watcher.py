"""Watcher: the one connection and the one thread of a process that hear every channel it waits on."""

import contextlib
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import msgspec

from resultstore.index.inbox import EventInbox
from resultstore.model import record
from resultstore.model.errors import IndexUnavailable

_SUBSCRIBE_TIMEOUT_S: Final = 3.0
_UNSUBSCRIBE_TIMEOUT_S: Final = 1.0
_IDLE_S: Final = 5.0  # how long connection and thread outlive the last waiter, for the next one
_SLOWEST_RECONNECT_S: Final = 1.0
_LASTING_S: Final = 5.0  # a connection that held this long was a good one


class PubSubConnection(Protocol):
    """What a Watcher uses of redis.Connection, whose own methods have no types."""

    _sock: socket.socket

    def connect(self) -> None:
        """Open it and say hello."""

    def disconnect(self) -> None:
        """Close it."""

    def send_command(self, *words: str | bytes) -> None:
        """Write one command."""

    def can_read(self, timeout: float) -> bool:
        """Whether anything arrives within `timeout` seconds."""

    def read_response(self) -> list[bytes]:
        """The next message."""


class _Channel(msgspec.Struct):
    """One channel on the present connection: what was asked for last, and how much the server has yet to confirm."""

    subscribed: bool = False
    unanswered: int = 0


class Watcher:
    """Only the thread touches the connection; waiters leave a note in `_dirty` and ring.

    Args:
        connect: opens a connection of its own, outside any pool; raises redis.RedisError.
        where: host and port, for messages.
    """

    def __init__(self, connect: Callable[[], PubSubConnection], *, where: str) -> None:
        self._connect = connect
        self._where = where
        self._changed = threading.Condition()  # guards all that follows
        self._boxes: dict[str, list[EventInbox]] = {}  # the channels that are waited on
        self._lines: dict[str, _Channel] = {}  # the channels that the server knows of
        self._dirty: set[str] = set()  # channels where these two may differ
        self._lost: set[str] = set()  # channels that were heard on a connection that broke
        self._bell: socket.socket | None = None  # wakes the thread; None: no thread runs
        self._hung = False
        self._error = "no answer"

    @contextmanager
    def watch(self, channel: str) -> Iterator[EventInbox]:
        """A mailbox for what is published on `channel`: subscribed within the block, gone behind it.

        Raises IndexUnavailable when the server does not confirm the subscription within 3 s.
        """
        box = EventInbox()
        try:
            self._enter(channel, box)
            yield box
        finally:
            self._leave(channel, box)

    def _enter(self, channel: str, box: EventInbox) -> None:
        with self._changed:
            self._boxes.setdefault(channel, []).append(box)
            self._ring(channel)
            if self._changed.wait_for(lambda: self._hears(channel), _SUBSCRIBE_TIMEOUT_S):
                return
            self._hang_up()
            raise IndexUnavailable(
                f"cannot subscribe to the index at {self._where} ({self._error}): "
                f"see that Redis runs and can be reached from here, and that RESULTSTORE_INDEX_URL names it"
            )

    def _leave(self, channel: str, box: EventInbox) -> None:
        with self._changed:
            self._boxes[channel].remove(box)
            if self._boxes[channel]:
                return
            del self._boxes[channel]
            self._lost.discard(channel)
            self._ring(channel)
            if not self._changed.wait_for(lambda: self._is_gone(channel), _UNSUBSCRIBE_TIMEOUT_S):
                self._hang_up()

    def _hears(self, channel: str) -> bool:
        line = self._lines.get(channel)
        return line is not None and line.subscribed and not line.unanswered and channel not in self._dirty

    def _is_gone(self, channel: str) -> bool:
        return channel not in self._lines or channel in self._boxes

    def _hang_up(self) -> None:
        """The server leaves a command unanswered: another connection may fare better, and its channels end with it."""
        self._hung = True
        self._ring()

    def _ring(self, *channels: str) -> None:
        self._dirty.update(channels)
        if self._bell is None:
            self._bell, listener = socket.socketpair()
            self._bell.settimeout(0)
            threading.Thread(target=self._run, args=(listener,), name="resultstore-watcher", daemon=True).start()
        with contextlib.suppress(BlockingIOError):  # the thread has not yet heard the many rings before
            self._bell.send(b"!")

    def _run(self, listener: socket.socket) -> None:
        """The thread: connect, listen, and connect again for as long as anybody waits."""
        failures = 0
        with listener:
            while not self._retired():
                began = time.monotonic()
                try:
                    self._listen(self._connect(), listener)
                except Exception as error:  # noqa: BLE001 - whatever it is: of this thread there is one, for all that wait
                    self._error = str(error)
                    failures = failures + 1 if time.monotonic() - began < _LASTING_S else 1
                self._forget_connection()
                if failures > 1:  # the first try after a loss is made at once
                    time.sleep(min(0.05 * 2**failures, _SLOWEST_RECONNECT_S) * random.uniform(0.5, 1))  # noqa: S311

    def _retired(self) -> bool:
        with self._changed:
            if self._boxes:
                return False
            if self._bell is not None:
                self._bell.close()
            self._bell = None
            return True

    def _forget_connection(self) -> None:
        with self._changed:
            self._lost.update(channel for channel, line in self._lines.items() if line.subscribed)
            self._lost &= self._boxes.keys()
            self._lines.clear()
            self._dirty = set(self._boxes)
            self._hung = False
            self._changed.notify_all()

    def _listen(self, connection: PubSubConnection, listener: socket.socket) -> None:
        """Take what arrives, until the connection breaks (redis.RedisError) or nobody has waited for 5 s."""
        try:
            with selectors.DefaultSelector() as ears:
                ears.register(listener, selectors.EVENT_READ)
                ears.register(connection._sock, selectors.EVENT_READ)  # noqa: SLF001  redis-py has no public name
                while not self._hung:
                    self._reconcile(connection)
                    while connection.can_read(timeout=0):
                        self._take(connection.read_response())
                    heard = [key.fileobj for key, _ in ears.select(_IDLE_S)]
                    if listener in heard:
                        listener.recv(4096)
                    if not heard and not self._boxes:
                        return
        finally:
            connection.disconnect()

    def _reconcile(self, connection: PubSubConnection) -> None:
        with self._changed:
            asked: dict[bool, list[str]] = {True: [], False: []}
            for channel in self._dirty:
                wanted = channel in self._boxes
                line = self._lines.get(channel)
                if wanted != (line is not None and line.subscribed):
                    line = self._lines.setdefault(channel, _Channel())
                    line.subscribed = wanted
                    line.unanswered += 1
                    asked[wanted].append(channel)
            self._dirty.clear()
            self._changed.notify_all()
        for wanted, command in ((True, "SUBSCRIBE"), (False, "UNSUBSCRIBE")):
            if asked[wanted]:
                connection.send_command(command, *asked[wanted])

    def _take(self, message: list[bytes]) -> None:
        kind, channel, told = message[0], message[1].decode(), message[2]
        with self._changed:
            if kind == b"message":
                event = record.decode_event(told)
                for box in self._boxes.get(channel, ()):
                    box.put(event)
            else:
                self._confirm(channel)

    def _confirm(self, channel: str) -> None:
        line = self._lines[channel]
        line.unanswered -= 1
        if line.unanswered:
            return
        if not line.subscribed:
            del self._lines[channel]
        elif channel in self._lost:
            self._lost.discard(channel)
            for box in self._boxes.get(channel, ()):
                box.put(None)
        self._changed.notify_all()
