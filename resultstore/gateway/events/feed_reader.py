"""Newsroom: the thread that reads the feed and makes frames of it, whatever becomes of Redis."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from resultstore.gateway.events.messages import SseMessage, place_of
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
    """One feed, one thread.

    It knows for each owner the place of the last Event, and asks for what was missed when the feed was cut. Where that
    cannot be told, an empty frame says so, and each viewer begins anew.

    Args:
        store: where the Results are.
        index: the same store's index, which streams.
        views: shows what a viewer may see of a Result.
        deliver: takes the frames; the first of each owner is empty and says that he is heard.
    """

    def __init__(
        self,
        store: Store,
        views: ResultRenderer,
        *,
        deliver: Callable[[Sequence[SseMessage]], None],
    ) -> None:
        self._events = store.index.events
        self._news = EventRenderer(store, views)
        self._deliver = deliver
        self._feed: Feed = self._events.open_feed()
        self._places: dict[str, str] = {}
        self._behind: set[str] = set()  # owners of whom something could not be read
        self._left: deque[str] = deque()
        self._closed = False
        threading.Thread(target=self._run, name="resultstore-events", daemon=True).start()

    def listen(self, owners: Sequence[str]) -> None:
        """Begin to hear these owners; may wait for a connection."""
        self._feed.listen(owners)

    def leave(self, owner: str) -> None:
        """Hear an owner no longer."""
        self._feed.leave(owner)
        self._left.append(owner)

    def close(self) -> None:
        """Hear nothing any more; the thread ends within a second."""
        self._closed = True

    def _run(self) -> None:
        while not self._closed:
            try:
                told = self._feed.wait(_PAUSE_S if self._behind else _WAIT_S)
            except Exception as error:  # noqa: BLE001 - of this thread there is one, for all owners
                _log.warning("feed_not_read", error=repr(error))
                time.sleep(_PAUSE_S)
                continue
            while self._left:
                self._places.pop(self._left.popleft(), None)
            told = [*map(OwnerEvent, self._behind), *told]
            if told and not self._told(told):
                self._each_told(told)
            if self._behind:
                time.sleep(_PAUSE_S)
        self._feed.close()

    def _each_told(self, told: Sequence[OwnerEvent]) -> None:
        """Deliver what is told owner by owner: where all together failed, one of them may be the reason."""
        failures = 0
        for owner in {one.owner for one in told}:
            failures = 0 if self._told([one for one in told if one.owner == owner]) else failures + 1
            if failures == IN_A_ROW:  # then it is Redis
                return

    def _told(self, told: Sequence[OwnerEvent]) -> bool:
        """Deliver what is told; whether all of it could be read. Owners of whom it could not are asked for again."""
        try:
            self._tell(told)
        except Exception as error:  # noqa: BLE001 - as above
            self._behind |= {one.owner for one in told}
            _log.warning("events_not_read", owners=len(self._behind), error=repr(error))
            return False
        return True

    def _tell(self, told: Sequence[OwnerEvent]) -> None:
        """Deliver what is told; nothing is remembered as told before all of it could be read."""
        places: dict[str, str] = {}
        frames: list[SseMessage] = []
        events: list[OwnerEvent] = []
        for one in told:
            if one.event is None:
                frames += self._caught_up(one.owner, places, events)
            elif not self._is_old(one, places):
                places[one.owner] = one.at
                events.append(one)
        frames += self._news.frames(events)
        self._places |= places
        self._behind -= {one.owner for one in told}
        if frames:
            self._deliver(frames)

    def _is_old(self, one: OwnerEvent, places: dict[str, str]) -> bool:
        place, last = place_of(one.at), place_of(places.get(one.owner, self._places.get(one.owner, "")))
        return place is not None and last is not None and place <= last

    def _caught_up(self, owner: str, places: dict[str, str], events: list[OwnerEvent]) -> list[SseMessage]:
        """The owner is heard from now on: for the first time, or again."""
        last = places.get(owner, self._places.get(owner))
        missed = self._events.read_missed(owner, after=last) if last and owner else None
        if missed is None:
            places[owner] = self._events.last_event_id(owner) if owner else ""
            return [SseMessage(owner, None, b"")]
        for one in missed:
            places[owner] = one.at
            events.append(one)
        return []
