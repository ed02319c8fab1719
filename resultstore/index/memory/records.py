"""MemoryRecords: encoded records with their expiry, in this process."""

import heapq
import math
import threading
import time

import msgspec

from resultstore.model import record
from resultstore.model.result import Result


class StoredRecord(msgspec.Struct, frozen=True):
    """The bytes that Redis would store, with the owner, the creation time and the expiry (`time.monotonic`)."""

    main: bytes
    beside: bytes | None
    owner: str
    made_at: float
    ends_at: float


class MemoryRecords:
    """Records by id. Hold `lock` around `put` and `drop_expired`; the readers take it themselves."""

    def __init__(self) -> None:
        self.entries: dict[str, StoredRecord] = {}
        self.lock = threading.Lock()
        self._ends: list[tuple[float, str]] = []

    def put(self, result_id: str, entry: StoredRecord) -> None:
        """Store an entry; the caller holds the lock."""
        self.entries[result_id] = entry
        if entry.ends_at < math.inf:
            heapq.heappush(self._ends, (entry.ends_at, result_id))

    def drop_expired(self) -> None:
        """Delete the expired entries; the caller holds the lock."""
        now = time.monotonic()
        while self._ends and self._ends[0][0] <= now:
            _, result_id = heapq.heappop(self._ends)
            if result_id in self.entries and self.entries[result_id].ends_at <= now:
                del self.entries[result_id]

    def find(self, result_id: str) -> StoredRecord | None:
        """Return the entry of an id that has not expired."""
        with self.lock:
            entry = self.entries.get(result_id)
        return entry if entry is not None and time.monotonic() < entry.ends_at else None

    def read(self, result_id: str) -> tuple[bytes | None, bytes | None]:
        """Return the bytes of the small record and of its larger parts."""
        entry = self.find(result_id)
        return (None, None) if entry is None else (entry.main, entry.beside)

    def living(self) -> list[tuple[str, StoredRecord]]:
        """Return all entries but tombstones."""
        with self.lock:
            self.drop_expired()
            return [(key, one) for key, one in self.entries.items() if not record.is_tombstone(one.main)]


def encoded(result: Result, ttl_s: int | None) -> StoredRecord:
    """Return the entry of a Result that expires after `ttl_s` (None: never)."""
    main, beside = record.encode(result)
    made_at = result.created_at or result.changed_at or time.time()
    ends_at = math.inf if ttl_s is None else time.monotonic() + ttl_s
    return StoredRecord(main=main, beside=beside, owner=result.owner, made_at=made_at, ends_at=ends_at)
