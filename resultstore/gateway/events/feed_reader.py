"""FeedReader: the thread that reads the feed of changes and delivers SSE messages."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from resultstore.gateway.events.messages import SseMessage, parse_position
from resultstore.gateway.events.renderer import EventRenderer
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.index.index import Feed
from resultstore.model.event import OwnerEvent
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.telemetry.tolerance import IN_A_ROW

_WAIT_S: Final = 1.0
_PAUSE_S: Final = 0.2

_log = Log(__name__)


class FeedReader:
    """One feed and one thread, which survive an outage of Redis.

    It knows the stream position of each owner's last Event and reads what was missed after the feed was interrupted.
    Where that is not possible, an empty message makes each viewer begin again with a snapshot.

    Args:
        store: holds the Results.
        views: renders Results.
        deliver: takes the messages; the first one of each owner is empty and confirms the subscription.
    """

    def __init__(
        self,
        store: Store,
        views: ResultRenderer,
        *,
        deliver: Callable[[Sequence[SseMessage]], None],
    ) -> None:
        self._events = store.index.events
        self._renderer = EventRenderer(store, views)
        self._deliver = deliver
        self._feed: Feed = self._events.open_feed()
        self._positions: dict[str, str] = {}
        self._to_reread: set[str] = set()  # owners with Events that could not be read
        self._unsubscribed: deque[str] = deque()
        self._closed = False
        threading.Thread(target=self._run, name="resultstore-events", daemon=True).start()

    def listen(self, owners: Sequence[str]) -> None:
        """Subscribe to these owners; may wait for a connection."""
        self._feed.listen(owners)

    def leave(self, owner: str) -> None:
        """Unsubscribe from an owner."""
        self._feed.leave(owner)
        self._unsubscribed.append(owner)

    def close(self) -> None:
        """Stop reading; the thread ends within a second."""
        self._closed = True

    def _run(self) -> None:
        while not self._closed:
            try:
                events = self._feed.wait(_PAUSE_S if self._to_reread else _WAIT_S)
            except Exception as error:  # noqa: BLE001 - this is the one thread for all owners: it must not end
                _log.warning("feed_not_read", error=repr(error))
                time.sleep(_PAUSE_S)
                continue
            while self._unsubscribed:
                self._positions.pop(self._unsubscribed.popleft(), None)
            events = [*map(OwnerEvent, self._to_reread), *events]
            if events and not self._try_deliver(events):
                self._deliver_by_owner(events)
            if self._to_reread:
                time.sleep(_PAUSE_S)
        self._feed.close()

    def _deliver_by_owner(self, events: Sequence[OwnerEvent]) -> None:
        """Deliver the Events one owner at a time, since a single owner may have made the whole batch fail."""
        failures = 0
        for owner in {one.owner for one in events}:
            failures = 0 if self._try_deliver([one for one in events if one.owner == owner]) else failures + 1
            if failures == IN_A_ROW:  # then it is Redis
                return

    def _try_deliver(self, events: Sequence[OwnerEvent]) -> bool:
        """Deliver the Events; return False, and note their owners to be read again, if something is unreadable."""
        try:
            self._render_and_deliver(events)
        except Exception as error:  # noqa: BLE001 - as above
            self._to_reread |= {one.owner for one in events}
            _log.warning("events_not_read", owners=len(self._to_reread), error=repr(error))
            return False
        return True

    def _render_and_deliver(self, events: Sequence[OwnerEvent]) -> None:
        """Deliver the Events; advance positions only after all of them were read."""
        positions: dict[str, str] = {}
        messages: list[SseMessage] = []
        fresh: list[OwnerEvent] = []
        for one in events:
            if one.event is None:
                messages += self._resume(one.owner, positions, fresh)
            elif not self._is_old(one, positions):
                positions[one.owner] = one.at
                fresh.append(one)
        messages += self._renderer.render(fresh)
        self._positions |= positions
        self._to_reread -= {one.owner for one in events}
        if messages:
            self._deliver(messages)

    def _is_old(self, one: OwnerEvent, positions: dict[str, str]) -> bool:
        position = parse_position(one.at)
        last = parse_position(positions.get(one.owner, self._positions.get(one.owner, "")))
        return position is not None and last is not None and position <= last

    def _resume(self, owner: str, positions: dict[str, str], fresh: list[OwnerEvent]) -> list[SseMessage]:
        """Add what a new or restored subscription has missed to `fresh`; return a reset where that is unknown."""
        last = positions.get(owner, self._positions.get(owner))
        missed = self._events.read_missed(owner, after=last) if last and owner else None
        if missed is None:
            positions[owner] = self._events.last_event_id(owner) if owner else ""
            return [SseMessage(owner, None, b"")]
        for one in missed:
            positions[owner] = one.at
            fresh.append(one)
        return []
