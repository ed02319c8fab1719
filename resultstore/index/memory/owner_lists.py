"""MemoryOwnerLists: which ids each owner has, in this process."""

import threading
import time

import msgspec

from resultstore.index.memory.events import MemoryEvents
from resultstore.index.memory.keys import MemoryKeys
from resultstore.index.memory.records import MemoryRecords
from resultstore.model import layout
from resultstore.model.event import Event
from resultstore.model.seal import DELETED


class _Entry(msgspec.Struct):
    """When an id was created (None: not listed), and until when its bytes are stored."""

    made_at: float | None
    stored_until: float


class MemoryOwnerLists:
    """Implements `OwnerLists`. Every method may be called from any thread.

    Args:
        records: know when a listed Result was created.
        events: announce deletions; the stored ones are erased with their owner.
        keys: of which the owner's are erased.
    """

    def __init__(self, records: MemoryRecords, events: MemoryEvents, keys: MemoryKeys) -> None:
        self._records = records
        self._events = events
        self._keys = keys
        self._entries: dict[str, dict[str, _Entry]] = {}
        self._lock = threading.Lock()

    def enlist(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """Record that bytes of this id are stored until then; the longer time counts."""
        known = self._records.find(result_id)
        if made_at is not None and known is not None and known.owner == owner:
            made_at = known.made_at  # as it is listed already
        self.add(owner, result_id, made_at=made_at, stored_until=stored_until)

    def add(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """List an id as created at `made_at`, without looking at its record."""
        with self._lock:
            entry = self._entries.setdefault(owner, {}).setdefault(result_id, _Entry(None, 0.0))
            entry.made_at = made_at if entry.made_at is None else entry.made_at
            entry.stored_until = max(entry.stored_until, stored_until)

    def listed(self, owner: str) -> dict[str, float]:
        """Return the creation time of each listed id with stored bytes."""
        now = time.time()
        with self._lock:
            entries = self._entries.get(owner, {})
            found = {name: one.made_at for name, one in entries.items() if one.stored_until > now}
        return {name: made_at for name, made_at in found.items() if made_at is not None}

    def everything(self, owner: str) -> list[str]:
        """Return every id that is recorded for the owner."""
        with self._lock:
            return list(self._entries.get(owner, {}))

    def unlist(self, owner: str, result_ids: list[str]) -> None:
        """Remove these ids from the list; their stored bytes stay recorded."""
        with self._lock:
            for one in result_ids:
                if one in self._entries.get(owner, {}):
                    self._entries[owner][one].made_at = None

    def remove_deleted(self, result_id: str, *, owner: str) -> None:
        """Remove a deleted Result from the owner's lists, and announce the deletion."""
        self.forget(owner, result_id)
        self._events.announce_to_owner(owner, Event(result_id, DELETED))

    def forget(self, owner: str, result_id: str) -> None:
        """Remove an id from all lists of the owner."""
        with self._lock:
            self._entries.get(owner, {}).pop(result_id, None)

    def erase(self, owner: str) -> None:
        """Delete the owner's lists, Events, counters and keys."""
        with self._lock:
            self._entries.pop(owner, None)
        self._events.erase_owner(owner)
        self._keys.drop_all(layout.owner_prefixes(owner))
