"""Watcher: one connection and one thread per process that receive the messages of all watched channels."""

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
    """The methods of redis.Connection that are used here; its own have no types."""

    _sock: socket.socket

    def connect(self) -> None:
        """Open it."""

    def disconnect(self) -> None:
        """Close it."""

    def send_command(self, *args: str | bytes) -> None:
        """Send one command."""

    def can_read(self, timeout: float) -> bool:
        """Return whether anything arrives within `timeout` seconds."""

    def read_response(self) -> list[bytes]:
        """Return the next message."""


class _Channel(msgspec.Struct):
    """A channel on the present connection: the last request, and how many confirmations are outstanding."""

    subscribed: bool = False
    unanswered: int = 0


class Watcher:
    """Only its thread touches the connection; waiters add their channel to `_dirty` and wake it.

    Args:
        connect: opens a connection outside any pool; raises redis.RedisError.
        where: host and port, for messages.
    """

    def __init__(self, connect: Callable[[], PubSubConnection], *, where: str) -> None:
        self._connect = connect
        self._where = where
        self._changed = threading.Condition()  # guards all that follows
        self._inboxes: dict[str, list[EventInbox]] = {}  # by watched channel
        self._channels: dict[str, _Channel] = {}  # subscribed at the server, or about to be
        self._dirty: set[str] = set()  # channels where these two may differ
        self._lost: set[str] = set()  # channels whose connection was lost: their waiters must load the record again
        self._waker: socket.socket | None = None  # wakes the thread; None: no thread runs
        self._must_reconnect = False
        self._error = "no answer"

    @contextmanager
    def watch(self, channel: str) -> Iterator[EventInbox]:
        """Yield an inbox for the messages of `channel`, subscribed for the length of the block.

        Raises IndexUnavailable when the server does not confirm the subscription within 3 s.
        """
        inbox = EventInbox()
        try:
            self._enter(channel, inbox)
            yield inbox
        finally:
            self._leave(channel, inbox)

    def _enter(self, channel: str, inbox: EventInbox) -> None:
        with self._changed:
            self._inboxes.setdefault(channel, []).append(inbox)
            self._wake(channel)
            if self._changed.wait_for(lambda: self._is_subscribed(channel), _SUBSCRIBE_TIMEOUT_S):
                return
            self._reconnect()
            raise IndexUnavailable(
                f"cannot subscribe to the index at {self._where} ({self._error}): "
                f"see that Redis runs and can be reached from here, and that RESULTSTORE_INDEX_URL names it"
            )

    def _leave(self, channel: str, inbox: EventInbox) -> None:
        with self._changed:
            self._inboxes[channel].remove(inbox)
            if self._inboxes[channel]:
                return
            del self._inboxes[channel]
            self._lost.discard(channel)
            self._wake(channel)
            if not self._changed.wait_for(lambda: self._is_gone(channel), _UNSUBSCRIBE_TIMEOUT_S):
                self._reconnect()

    def _is_subscribed(self, channel: str) -> bool:
        known = self._channels.get(channel)
        return known is not None and known.subscribed and not known.unanswered and channel not in self._dirty

    def _is_gone(self, channel: str) -> bool:
        return channel not in self._channels or channel in self._inboxes

    def _reconnect(self) -> None:
        """Open a new connection, because the server left a command unanswered on this one."""
        self._must_reconnect = True
        self._wake()

    def _wake(self, *channels: str) -> None:
        self._dirty.update(channels)
        if self._waker is None:
            self._waker, listener = socket.socketpair()
            self._waker.settimeout(0)
            threading.Thread(target=self._run, args=(listener,), name="resultstore-watcher", daemon=True).start()
        with contextlib.suppress(BlockingIOError):  # the buffer is full: the thread is being woken already
            self._waker.send(b"!")

    def _run(self, listener: socket.socket) -> None:
        """Connect, listen, and connect again while any channel is watched. Runs in the thread."""
        failures = 0
        with listener:
            while not self._end_if_unwatched():
                began = time.monotonic()
                try:
                    self._listen(self._connect(), listener)
                except Exception as error:  # noqa: BLE001 - the only thread for all waiters must go on
                    self._error = str(error)
                    failures = failures + 1 if time.monotonic() - began < _LASTING_S else 1
                self._forget_connection()
                if failures > 1:  # the first attempt after a loss is made at once
                    time.sleep(min(0.05 * 2**failures, _SLOWEST_RECONNECT_S) * random.uniform(0.5, 1))  # noqa: S311

    def _end_if_unwatched(self) -> bool:
        with self._changed:
            if self._inboxes:
                return False
            if self._waker is not None:
                self._waker.close()
            self._waker = None
            return True

    def _forget_connection(self) -> None:
        with self._changed:
            self._lost.update(channel for channel, known in self._channels.items() if known.subscribed)
            self._lost &= self._inboxes.keys()
            self._channels.clear()
            self._dirty = set(self._inboxes)
            self._must_reconnect = False
            self._changed.notify_all()

    def _listen(self, connection: PubSubConnection, listener: socket.socket) -> None:
        """Deliver messages until the connection is lost (redis.RedisError), or no channel was watched for 5 s."""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(listener, selectors.EVENT_READ)
                selector.register(connection._sock, selectors.EVENT_READ)  # noqa: SLF001  redis-py has no public name
                while not self._must_reconnect:
                    self._reconcile(connection)
                    while connection.can_read(timeout=0):
                        self._deliver(connection.read_response())
                    ready = [key.fileobj for key, _ in selector.select(_IDLE_S)]
                    if listener in ready:
                        listener.recv(4096)
                    if not ready and not self._inboxes:
                        return
        finally:
            connection.disconnect()

    def _reconcile(self, connection: PubSubConnection) -> None:
        with self._changed:
            changed: dict[bool, list[str]] = {True: [], False: []}
            for channel in self._dirty:
                wanted = channel in self._inboxes
                known = self._channels.get(channel)
                if wanted != (known is not None and known.subscribed):
                    known = self._channels.setdefault(channel, _Channel())
                    known.subscribed = wanted
                    known.unanswered += 1
                    changed[wanted].append(channel)
            self._dirty.clear()
            self._changed.notify_all()
        for wanted, command in ((True, "SUBSCRIBE"), (False, "UNSUBSCRIBE")):
            if changed[wanted]:
                connection.send_command(command, *changed[wanted])

    def _deliver(self, message: list[bytes]) -> None:
        kind, channel, content = message[0], message[1].decode(), message[2]
        with self._changed:
            if kind == b"message":
                event = record.decode_event(content)
                for inbox in self._inboxes.get(channel, ()):
                    inbox.put(event)
            else:
                self._confirm(channel)

    def _confirm(self, channel: str) -> None:
        known = self._channels[channel]
        known.unanswered -= 1
        if known.unanswered:
            return
        if not known.subscribed:
            del self._channels[channel]
        elif channel in self._lost:
            self._lost.discard(channel)
            for inbox in self._inboxes.get(channel, ()):
                inbox.put(None)
        self._changed.notify_all()
