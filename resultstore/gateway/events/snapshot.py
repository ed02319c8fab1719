"""Past: what a stream begins with: a snapshot, or what came after the last event that was seen."""

from heapq import nlargest
from typing import Final

from anyio import CapacityLimiter, to_thread

from resultstore.gateway.events.messages import HEARTBEAT, RESET, place_of, result_message, snapshot_message
from resultstore.gateway.events.renderer import EventRenderer
from resultstore.gateway.events.viewer import Viewer
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.model.result import Result
from resultstore.store import Store

SNAPSHOT_RESULTS: Final = 200
_UNOWNED_SCANNED: Final = 2_000  # ids that are looked at for those that nobody owns: the index lists them in no order
_SNAPSHOTS_AT_ONCE: Final = 4  # of the threads that answer everything else too
_CLOCK_SLACK_S: Final = 60.0  # between the clocks of Redis and of the workers


class Snapshot:
    """Reads for one viewer at a time, a few viewers at once.

    Args:
        store: where the Results are.
        views: shows what a viewer may see of one.
    """

    def __init__(self, store: Store, views: ResultRenderer) -> None:
        self._store = store
        self._views = views
        self._limiter = CapacityLimiter(_SNAPSHOTS_AT_ONCE)

    async def since(self, viewer: Viewer, last_id: str) -> bytes:
        """What came after `last_id`, or a snapshot, behind a reset when `last_id` cannot be followed."""
        if not last_id:
            return await self.snapshot(viewer)
        replayed = await to_thread.run_sync(self._replayed, viewer, last_id, limiter=self._limiter)
        return RESET + await self.snapshot(viewer) if replayed is None else replayed

    async def snapshot(self, viewer: Viewer) -> bytes:
        """The newest Results of the viewer's owners."""
        return await to_thread.run_sync(self._snapshot, viewer, limiter=self._limiter)

    def _replayed(self, viewer: Viewer, last_id: str) -> bytes | None:
        place, owner = place_of(last_id), viewer.owners[0]
        if place is None:
            return None
        missed = self._store.index.events.read_missed(owner, after="{}-{}".format(*place))
        if missed is None:
            return None
        viewer.begin(place_of(missed[-1].at) if missed else place)
        frames = EventRenderer(self._store, self._views).frames(missed)
        since = place[0] / 1000 - _CLOCK_SLACK_S
        unowned = [one for one in self._unowned(viewer)[0] if (one.changed_at or 0) > since]
        messages = [frame.message for frame in frames]
        messages += [result_message(one, at="") for one in self._views.many(unowned)]
        return b"".join(messages) or HEARTBEAT

    def _snapshot(self, viewer: Viewer) -> bytes:
        """The place in the stream is read first: what comes while the records are read is told once more."""
        owner = viewer.owners[0]
        at = self._store.index.events.last_event_id(owner)
        viewer.begin(place_of(at))
        lines = self._store.owners.listed(owner, limit=SNAPSHOT_RESULTS + 1)
        loaded = self._store.owners.load(owner, [one.id for one in lines[:SNAPSHOT_RESULTS]])
        owned = list(loaded.results)
        all_seen = loaded.is_whole and self._store.owners.is_complete()
        unowned, all_unowned_seen = self._unowned(viewer)
        complete = (
            all_seen
            and all_unowned_seen
            and len(lines) <= SNAPSHOT_RESULTS
            and len(owned) + len(unowned) <= SNAPSHOT_RESULTS
        )
        newest = nlargest(SNAPSHOT_RESULTS, [*owned, *unowned], key=_age)
        return snapshot_message(self._views.many(newest), at=at, complete=complete)

    def _unowned(self, viewer: Viewer) -> tuple[list[Result], bool]:
        """What nobody owns, for a viewer who may see it; and whether these are all."""
        if "" not in viewer.owners:
            return [], True
        ids = list(self._store.ids(limit=_UNOWNED_SCANNED))
        found = [one for one in self._store.load_many(ids) if one is not None and not one.owner]
        return found, len(ids) < _UNOWNED_SCANNED


def _age(result: Result) -> float:
    return result.created_at or result.started_at or result.changed_at or 0.0
