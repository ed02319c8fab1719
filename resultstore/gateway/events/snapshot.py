"""Snapshot: the first messages of a stream: the newest Results, or a replay after `Last-Event-ID`."""

from heapq import nlargest
from typing import Final

from anyio import CapacityLimiter, to_thread

from resultstore.gateway.events.messages import HEARTBEAT, RESET, parse_position, result_message, snapshot_message
from resultstore.gateway.events.renderer import EventRenderer
from resultstore.gateway.events.viewer import Viewer
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.model.result import Result
from resultstore.store import Store

SNAPSHOT_RESULTS: Final = 200
_UNOWNED_SCANNED_MAX: Final = 2_000  # ids searched for Results without an owner: the index lists them in no order
_SNAPSHOTS_AT_ONCE: Final = 4  # of the threads that serve all requests
_CLOCK_SLACK_S: Final = 60.0  # between the clocks of Redis and of the workers


class Snapshot:
    """Reads the first messages of a stream, for a few viewers at once.

    Args:
        store: holds the Results.
        views: renders Results.
    """

    def __init__(self, store: Store, views: ResultRenderer) -> None:
        self._store = store
        self._views = views
        self._limiter = CapacityLimiter(_SNAPSHOTS_AT_ONCE)

    async def first_messages(self, viewer: Viewer, last_id: str) -> bytes:
        """Return the changes after `last_id`, else a snapshot; a reset precedes it if `last_id` is not resumable."""
        if not last_id:
            return await self.snapshot(viewer)
        replayed = await to_thread.run_sync(self._replay, viewer, last_id, limiter=self._limiter)
        return RESET + await self.snapshot(viewer) if replayed is None else replayed

    async def snapshot(self, viewer: Viewer) -> bytes:
        """Return the newest Results of the viewer's owners as one message."""
        return await to_thread.run_sync(self._snapshot, viewer, limiter=self._limiter)

    def _replay(self, viewer: Viewer, last_id: str) -> bytes | None:
        position, owner = parse_position(last_id), viewer.owners[0]
        if position is None:
            return None
        missed = self._store.index.events.read_missed(owner, after="{}-{}".format(*position))
        if missed is None:
            return None
        viewer.begin(parse_position(missed[-1].at) if missed else position)
        rendered = EventRenderer(self._store, self._views).render(missed)
        since = position[0] / 1000 - _CLOCK_SLACK_S
        unowned = [one for one in self._unowned(viewer)[0] if (one.changed_at or 0) > since]
        messages = [one.message for one in rendered]
        messages += [result_message(one, at="") for one in self._views.many(unowned)]
        return b"".join(messages) or HEARTBEAT

    def _snapshot(self, viewer: Viewer) -> bytes:
        """Read the stream position first: a change during the reading of the records is then sent again, not lost."""
        owner = viewer.owners[0]
        at = self._store.index.events.last_event_id(owner)
        viewer.begin(parse_position(at))
        entries = self._store.owner_lister.newest(owner, limit=SNAPSHOT_RESULTS + 1)
        loaded = self._store.owner_lister.load(owner, [one.id for one in entries[:SNAPSHOT_RESULTS]])
        owned = list(loaded.results)
        all_seen = loaded.is_whole and self._store.owner_lister.is_complete()
        unowned, all_unowned_seen = self._unowned(viewer)
        complete = (
            all_seen
            and all_unowned_seen
            and len(entries) <= SNAPSHOT_RESULTS
            and len(owned) + len(unowned) <= SNAPSHOT_RESULTS
        )
        newest = nlargest(SNAPSHOT_RESULTS, [*owned, *unowned], key=_age)
        return snapshot_message(self._views.many(newest), at=at, complete=complete)

    def _unowned(self, viewer: Viewer) -> tuple[list[Result], bool]:
        """Return the Results without an owner, if the viewer may see them, and whether the list is complete."""
        if "" not in viewer.owners:
            return [], True
        ids = list(self._store.ids(limit=_UNOWNED_SCANNED_MAX))
        found = [one for one in self._store.load_many(ids) if one is not None and not one.owner]
        return found, len(ids) < _UNOWNED_SCANNED_MAX


def _age(result: Result) -> float:
    return result.created_at or result.started_at or result.changed_at or 0.0
