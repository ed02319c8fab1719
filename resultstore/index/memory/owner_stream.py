"""MemoryOwnerStreams: owners' Events in this process, told as the Redis driver tells them."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import dropwhile
from typing import Final

from resultstore.index.inbox import Inbox
from resultstore.model.event import Event, OwnerEvent

_KEPT_EVENTS: Final = 1_000  # of one owner, as in Redis
_UNREAD_EVENTS: Final = 100_000  # of one feed
_NOTHING_YET: Final = "0-0"


class MemoryOwnerStreams:
    """Every call may come from any thread."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[OwnerEvent]] = {}
        self._feeds: set[MemoryFeed] = set()
        self._count = 0
        self._lock = threading.Lock()

    def tell(self, owner: str, event: Event) -> None:
        """Add an Event to the owner's stream ("" has none) and hand it to every feed that hears him."""
        with self._lock:
            self._count += 1
            told = OwnerEvent(owner, f"{int(time.time() * 1000)}-{self._count}" if owner else "", event)
            if owner:
                self._kept.setdefault(owner, deque(maxlen=_KEPT_EVENTS)).append(told)
            for feed in self._feeds:
                feed.hand(told)

    def erase(self, owner: str) -> None:
        """Keep no Events of this owner."""
        with self._lock:
            self._kept.pop(owner, None)

    def feed(self) -> "MemoryFeed":
        """A feed that hears nobody yet."""
        feed = MemoryFeed(close=self._forget)
        with self._lock:
            self._feeds.add(feed)
        return feed

    def latest(self, owner: str) -> str:
        """The place of the newest Event."""
        with self._lock:
            kept = self._kept.get(owner)
            return kept[-1].at if kept else _NOTHING_YET

    def missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """What was told behind `after`; None when that is not in the stream."""
        with self._lock:
            kept = list(self._kept.get(owner, ()))
        if not kept and after == _NOTHING_YET:
            return []
        behind = list(dropwhile(lambda told: told.at != after, kept))
        return behind[1:] if behind else None

    def _forget(self, feed: "MemoryFeed") -> None:
        with self._lock:
            self._feeds.discard(feed)


class MemoryFeed:
    """One box for many owners.

    Args:
        close: ends this feed.
    """

    def __init__(self, *, close: Callable[["MemoryFeed"], None]) -> None:
        self._close = close
        self._heard: frozenset[str] = frozenset()
        self._box = Inbox[OwnerEvent](kept=_UNREAD_EVENTS)

    def hand(self, told: OwnerEvent) -> None:
        """Keep it for the reader, if he hears this owner."""
        if told.owner in self._heard:
            self._box.put(told)

    def listen(self, owners: Sequence[str]) -> None:
        """Begin to hear these owners."""
        new = set(owners) - self._heard
        self._heard |= new
        for owner in new:
            self._box.put(OwnerEvent(owner))

    def leave(self, owner: str) -> None:
        """Stop hearing an owner."""
        self._heard -= {owner}

    def wait(self, timeout_s: float) -> list[OwnerEvent]:
        """What has been told, at the latest after `timeout_s`."""
        told, pause_s = [], timeout_s
        while (one := self._box.wait(pause_s)) is not None:
            told.append(one)
            pause_s = 0
        return told

    def close(self) -> None:
        """Hear nothing any more."""
        self._close(self)
