"""MemoryEvents: subscriptions to changes in this process, as the Redis driver delivers them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from resultstore.index.inbox import EventInbox
from resultstore.index.memory.owner_stream import MemoryFeed, MemoryOwnerStreams
from resultstore.index.memory.subscription import MemorySubscription
from resultstore.model.event import Event, OwnerEvent


class MemoryEvents:
    """Implements `Events`. Every method may be called from any thread."""

    def __init__(self) -> None:
        self.streams = MemoryOwnerStreams()
        self._inboxes: dict[str, list[EventInbox]] = {}
        self._lock = threading.Lock()

    def announce(self, event: Event) -> None:
        """Deliver an Event to those who watch its id."""
        with self._lock:
            for inbox in self._inboxes.get(event.id, ()):
                inbox.put(event)

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
        """Return a new feed of this index."""
        return self.streams.feed()

    def last_event_id(self, owner: str) -> str:
        """Return the stream id of the owner's newest Event, or "0-0"."""
        return self.streams.last_event_id(owner)

    def read_missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """Return the owner's Events after `after`; None if `after` is not in the stream any more."""
        return self.streams.read_missed(owner, after=after)

    def _enter(self, result_id: str, inbox: EventInbox) -> None:
        with self._lock:
            self._inboxes.setdefault(result_id, []).append(inbox)

    def _leave(self, result_id: str, inbox: EventInbox) -> None:
        with self._lock:
            self._inboxes[result_id].remove(inbox)
            if not self._inboxes[result_id]:
                del self._inboxes[result_id]
