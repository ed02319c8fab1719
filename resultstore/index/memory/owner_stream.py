"""MemoryOwnerStreams: the Events of owners in this process, as the Redis driver delivers them."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import dropwhile
from typing import Final

from resultstore.index.inbox import Inbox
from resultstore.model.event import Event, OwnerEvent

_EVENTS_MAX: Final = 1_000  # of one owner, as in Redis
_UNREAD_EVENTS_MAX: Final = 100_000  # of one feed
_NO_EVENT_ID: Final = "0-0"


class MemoryOwnerStreams:
    """Every method may be called from any thread."""

    def __init__(self) -> None:
        self._events: dict[str, deque[OwnerEvent]] = {}
        self._feeds: set[MemoryFeed] = set()
        self._count = 0
        self._lock = threading.Lock()

    def announce(self, owner: str, event: Event) -> None:
        """Add an Event to the owner's stream (the owner "" has none), and deliver it to every feed of the owner."""
        with self._lock:
            self._count += 1
            event_id = f"{int(time.time() * 1000)}-{self._count}" if owner else ""
            announced = OwnerEvent(owner, event_id, event)
            if owner:
                self._events.setdefault(owner, deque(maxlen=_EVENTS_MAX)).append(announced)
            for feed in self._feeds:
                feed.deliver(announced)

    def erase(self, owner: str) -> None:
        """Delete the Events of this owner."""
        with self._lock:
            self._events.pop(owner, None)

    def feed(self) -> "MemoryFeed":
        """Return a new feed without owners."""
        feed = MemoryFeed(close=self._remove)
        with self._lock:
            self._feeds.add(feed)
        return feed

    def last_event_id(self, owner: str) -> str:
        """Return the id of the newest Event, or "0-0"."""
        with self._lock:
            events = self._events.get(owner)
            return events[-1].at if events else _NO_EVENT_ID

    def read_missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """Return the Events after `after`; None if `after` is not in the stream."""
        with self._lock:
            events = list(self._events.get(owner, ()))
        if not events and after == _NO_EVENT_ID:
            return []
        found = list(dropwhile(lambda one: one.at != after, events))
        return found[1:] if found else None

    def _remove(self, feed: "MemoryFeed") -> None:
        with self._lock:
            self._feeds.discard(feed)


class MemoryFeed:
    """One inbox for many owners.

    Args:
        close: removes this feed from its streams.
    """

    def __init__(self, *, close: Callable[["MemoryFeed"], None]) -> None:
        self._close = close
        self._owners: frozenset[str] = frozenset()
        self._inbox = Inbox[OwnerEvent](size=_UNREAD_EVENTS_MAX)

    def deliver(self, event: OwnerEvent) -> None:
        """Put an Event into the inbox if this feed is subscribed to its owner."""
        if event.owner in self._owners:
            self._inbox.put(event)

    def listen(self, owners: Sequence[str]) -> None:
        """Subscribe to these owners."""
        new = set(owners) - self._owners
        self._owners |= new
        for owner in new:
            self._inbox.put(OwnerEvent(owner))

    def leave(self, owner: str) -> None:
        """Unsubscribe from an owner."""
        self._owners -= {owner}

    def wait(self, timeout_s: float) -> list[OwnerEvent]:
        """Return the Events that came, after `timeout_s` at the latest."""
        events, pause_s = [], timeout_s
        while (one := self._inbox.wait(pause_s)) is not None:
            events.append(one)
            pause_s = 0
        return events

    def close(self) -> None:
        """Unsubscribe from everything."""
        self._close(self)
