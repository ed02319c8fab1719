"""MemoryEvents: subscriptions to changes, and the Events of owners, in this process."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import dropwhile
from typing import Final

from resultstore.index.inbox import EventInbox
from resultstore.index.memory.feed import MemoryFeed
from resultstore.index.memory.subscription import MemorySubscription
from resultstore.model.event import Event, OwnerEvent

_EVENTS_MAX: Final = 1_000  # of one owner, as in Redis
_NO_EVENT_ID: Final = "0-0"


class MemoryEvents:
    """Implements `Events`. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._inboxes: dict[str, list[EventInbox]] = {}
        self._events: dict[str, deque[OwnerEvent]] = {}
        self._feeds: set[MemoryFeed] = set()
        self._count = 0
        self._lock = threading.Lock()

    def announce(self, event: Event) -> None:
        """Deliver an Event to those who watch its id."""
        with self._lock:
            for inbox in self._inboxes.get(event.id, ()):
                inbox.put(event)

    def announce_to_owner(self, owner: str, event: Event) -> None:
        """Store an Event of the owner (not of the owner ""), and deliver it to every feed of the owner."""
        with self._lock:
            self._count += 1
            event_id = f"{int(time.time() * 1000)}-{self._count}" if owner else ""
            announced = OwnerEvent(owner, event_id, event)
            if owner:
                self._events.setdefault(owner, deque(maxlen=_EVENTS_MAX)).append(announced)
            for feed in self._feeds:
                feed.deliver(announced)

    def erase_owner(self, owner: str) -> None:
        """Delete the stored Events of this owner."""
        with self._lock:
            self._events.pop(owner, None)

    @contextmanager
    def watch(self, result_id: str) -> Iterator[EventInbox]:
        """Subscribe to an id for the length of the block."""
        inbox = EventInbox()
        self._enter(result_id, inbox)
        try:
            yield inbox
        finally:
            self._leave(result_id, inbox)

    def open_subscription(self, *, also: Callable[[str], str] | None = None) -> MemorySubscription:  # noqa: ARG002 - no other program publishes here
        """Return a new subscription to this index."""
        return MemorySubscription(self._enter, self._leave)

    def open_feed(self) -> MemoryFeed:
        """Return a new feed without owners."""
        feed = MemoryFeed(close=self._remove)
        with self._lock:
            self._feeds.add(feed)
        return feed

    def last_event_id(self, owner: str) -> str:
        """Return the id of the owner's newest Event, or "0-0"."""
        with self._lock:
            events = self._events.get(owner)
            return events[-1].at if events else _NO_EVENT_ID

    def read_missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """Return the owner's Events after `after`; None if `after` is not stored any more."""
        with self._lock:
            events = list(self._events.get(owner, ()))
        if not events and after == _NO_EVENT_ID:
            return []
        found = list(dropwhile(lambda one: one.at != after, events))
        return found[1:] if found else None

    def _enter(self, result_id: str, inbox: EventInbox) -> None:
        with self._lock:
            self._inboxes.setdefault(result_id, []).append(inbox)

    def _leave(self, result_id: str, inbox: EventInbox) -> None:
        with self._lock:
            self._inboxes[result_id].remove(inbox)
            if not self._inboxes[result_id]:
                del self._inboxes[result_id]

    def _remove(self, feed: MemoryFeed) -> None:
        with self._lock:
            self._feeds.discard(feed)
