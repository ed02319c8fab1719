"""MemoryFeed: one inbox for the Events of many owners, in this process."""

from collections.abc import Callable, Sequence
from typing import Final

from resultstore.index.inbox import Inbox
from resultstore.model.event import OwnerEvent

_UNREAD_EVENTS_MAX: Final = 100_000


class MemoryFeed:
    """Implements `Feed`.

    Args:
        close: removes this feed from the index.
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
