"""MemoryIndex: an Index in this process."""

import msgspec

from resultstore.index.index import Overwrite
from resultstore.index.memory.events import MemoryEvents
from resultstore.index.memory.keys import MemoryKeys
from resultstore.index.memory.listing import MemoryListing
from resultstore.index.memory.owner_lists import MemoryOwnerLists
from resultstore.index.memory.records import MemoryRecords, StoredRecord, encoded
from resultstore.model import record
from resultstore.model.event import Event
from resultstore.model.result import Result, State


class MemoryIndex:
    """Stores the same bytes that Redis would store, so that a Result means the same in both."""

    def __init__(self) -> None:
        self._records = MemoryRecords()
        self.keys = MemoryKeys()
        self.events = MemoryEvents()
        self.owners = MemoryOwnerLists(self._records, self.events, self.keys)
        self.listing = MemoryListing(self._records, self.owners)
        self.unconfirmed = MemoryUnconfirmedWrites(self)

    def peek(self, result_id: str) -> Result | None:
        """Return the small record; larger parts are left at their defaults."""
        entry = self._records.find(result_id)
        return None if entry is None else record.decode(result_id, entry.main, None)

    def load(self, result_id: str) -> Result | None:
        """Return the whole record."""
        entry = self._records.find(result_id)
        return None if entry is None else record.decode(result_id, entry.main, entry.beside)

    def save(self, result: Result, *, ttl_s: int | None, over: Overwrite = Overwrite.UNLESS_SUCCESS) -> bool:
        """Write the record if `over` allows, expire it after `ttl_s`, announce it. Return whether it was written."""
        entry, event = encoded(result, ttl_s), _event(result)
        with self._records.lock:
            self._records.drop_expired()
            before = self._records.entries.get(result.id)
            if before is not None and not _allows(over, before, entry):
                return False
            if before is not None and before.owner == entry.owner:
                entry = msgspec.structs.replace(entry, made_at=before.made_at)
            self._records.put(result.id, entry)
            self.events.announce(event)
            if result.owner and result.stored_until:
                self.owners.add(result.owner, result.id, made_at=entry.made_at, stored_until=result.stored_until)
            self.events.announce_to_owner(result.owner, event)
        return True

    def delete(self, result_id: str) -> None:
        """Delete the whole record, but not a tombstone."""
        with self._records.lock:
            before = self._records.entries.get(result_id)
            if before is not None and not record.is_tombstone(before.main):
                del self._records.entries[result_id]

    def write_tombstone(self, result_id: str, *, owner: str, ttl_s: int) -> None:
        """Replace the record by a tombstone for `ttl_s`, and announce the deletion to those who watch the id."""
        deleted = Result(id=result_id, state=State.REVOKED, owner=owner, deleted=True)
        with self._records.lock:
            self._records.drop_expired()
            self._records.put(result_id, encoded(deleted, ttl_s))
            self.events.announce(_event(deleted))


class MemoryUnconfirmedWrites:
    """Implements `UnconfirmedWrites`; nothing is lost here.

    Args:
        index: stores the records and the notes.
    """

    def __init__(self, index: MemoryIndex) -> None:
        self._index = index

    def save_if_absent(self, result: Result, *, ttl_s: int | None) -> None:
        """Write the record if there is none."""
        self._index.save(result, ttl_s=ttl_s, over=Overwrite.IF_ABSENT)

    def add_note(self, key: str, note: str, *, ttl_s: int | None) -> None:
        """Add `note` to the set under `key`."""
        self._index.keys.add_note(key, note, ttl_s=ttl_s)

    def read_notes(self, key: str) -> frozenset[str]:
        """Return the notes under `key`."""
        return self._index.keys.read_notes(key)


def _event(result: Result) -> Event:
    """Return the Event as it is decoded from Redis."""
    return record.decode_event(record.encode_event(result)) or Event(result.id, str(result.state))


def _allows(over: Overwrite, before: StoredRecord, after: StoredRecord) -> bool:
    if over is Overwrite.IF_ABSENT or record.is_tombstone(before.main):
        return False
    if (before.main, before.beside) == (after.main, after.beside):
        return True
    if over is Overwrite.UNREADABLE:
        return True
    code = record.state_code(before.main)
    return code != record.SUCCESS_CODE and (over is Overwrite.UNLESS_SUCCESS or code < record.FIRST_TERMINAL_CODE)
