"""Memory: an Index in a dict, for one process."""

import heapq
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

import msgspec

from resultstore.index.inbox import EventInbox
from resultstore.index.index import Overwrite, Owned
from resultstore.index.memory.owner_lists import MemoryOwnerLists
from resultstore.index.memory.owner_stream import MemoryFeed, MemoryOwnerStreams
from resultstore.index.memory.subscription import MemorySubscription
from resultstore.index.record_reader import RecordReader
from resultstore.model import layout, record
from resultstore.model.event import Event, OwnerEvent
from resultstore.model.result import Result, State
from resultstore.model.seal import DELETED


class _StoredRecord(msgspec.Struct, frozen=True):
    main: bytes
    beside: bytes | None
    owner: str
    made_at: float
    ends_at: float


class MemoryIndex:
    """Keeps the same bytes that Redis would keep, so that a Result means the same in both."""

    def __init__(self) -> None:
        self._entries: dict[str, _StoredRecord] = {}
        self._ends: list[tuple[float, str]] = []
        self._boxes: dict[str, list[EventInbox]] = {}
        self._streams = MemoryOwnerStreams()
        self._owners = MemoryOwnerLists()
        self._kept: dict[str, tuple[bytes, float]] = {}
        self._reader = RecordReader()
        self._lock = threading.Lock()

    def peek(self, result_id: str) -> Result | None:
        """The small record alone: what lies beside it is left at its default."""
        with self._lock:
            entry = self._live(result_id)
        return None if entry is None else record.decode(result_id, entry.main, None)

    def load(self, result_id: str) -> Result | None:
        """The record with what lies beside it."""
        with self._lock:
            entry = self._live(result_id)
        return None if entry is None else record.decode(result_id, entry.main, entry.beside)

    def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """What `load` gives for each id."""
        return self._reader.whole_of_many((one, *self._bytes(one)) for one in result_ids)

    def peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """What `peek` gives for each id."""
        return self._reader.small_of_many((one, self._bytes(one)[0]) for one in result_ids)

    @property
    def unreadable_total(self) -> int:
        """How many records were skipped because they could not be read."""
        return self._reader.unreadable_total

    def save(self, result: Result, *, ttl_s: int | None, over: Overwrite = Overwrite.UNLESS_SUCCESS) -> bool:
        """Write the record if `over` allows, let it expire after `ttl_s` seconds, and announce it."""
        entry = _entry(result, ttl_s)
        event = _event(result)
        with self._lock:
            self._drop_expired()
            before = self._entries.get(result.id)
            if before is not None and not _allows(over, before, entry):
                return False
            if before is not None and before.owner == entry.owner:
                entry = msgspec.structs.replace(entry, made_at=before.made_at)
            self._entries[result.id] = entry
            if ttl_s is not None:
                heapq.heappush(self._ends, (entry.ends_at, result.id))
            for box in self._boxes.get(result.id, ()):
                box.put(event)
            if result.owner and result.stored_until:
                self._owners.enlist(result.owner, result.id, made_at=entry.made_at, stored_until=result.stored_until)
            self._streams.tell(result.owner, event)
        return True

    def hint(self, result: Result, *, ttl_s: int | None) -> None:
        """Write the record where none stands."""
        self.save(result, ttl_s=ttl_s, over=Overwrite.IF_ABSENT)

    def note(self, key: str, word: str, *, ttl_s: int | None) -> None:
        """Add `word` to what stands under `key`."""
        with self._lock:
            self.keep(key, "\n".join({*self.noted(key), word}).encode(), ttl_s=ttl_s)

    def noted(self, key: str) -> frozenset[str]:
        """What was noted under `key`."""
        return frozenset((self.kept(key) or b"").decode().splitlines())

    def delete(self, result_id: str) -> None:
        """Remove the record and what lies beside it, but not a tombstone; no error when there is none."""
        with self._lock:
            before = self._entries.get(result_id)
            if before is not None and not record.is_tombstone(before.main):
                del self._entries[result_id]

    def bury(self, result_id: str, *, owner: str, ttl_s: int) -> None:
        """Write a tombstone over the record, and announce the deletion to those who watch the id."""
        gone = Result(id=result_id, state=State.REVOKED, owner=owner, deleted=True)
        entry = _entry(gone, ttl_s)
        with self._lock:
            self._drop_expired()
            self._entries[result_id] = entry
            heapq.heappush(self._ends, (entry.ends_at, result_id))
            for box in self._boxes.get(result_id, ()):
                box.put(_event(gone))

    @contextmanager
    def watch(self, result_id: str) -> Iterator[EventInbox]:
        """Subscribe to an id for the length of the block."""
        box = EventInbox()
        self._enter(result_id, box)
        try:
            yield box
        finally:
            self._leave(result_id, box)

    def line(self, *, also: Callable[[str], str] | None = None) -> MemorySubscription:  # noqa: ARG002 - nobody else is here
        """A line to this index."""
        return MemorySubscription(self._enter, self._leave)

    def feed(self) -> MemoryFeed:
        """A feed of this index."""
        return self._streams.feed()

    def latest(self, owner: str) -> str:
        """The place of the newest Event in the owner's stream; "0-0" where there is none."""
        return self._streams.latest(owner)

    def missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """What was told behind the place `after`; None when `after` is not (or no longer) in the stream."""
        return self._streams.missed(owner, after=after)

    def tell_gone(self, result_id: str, *, owner: str) -> None:
        """Tell the owner that a Result was deleted, and take it off the owner's list."""
        self._owners.remove(owner, result_id)
        self._streams.tell(owner, Event(result_id, DELETED))

    def kept(self, key: str) -> bytes | None:
        """What was kept under `key`, or None."""
        content, ends_at = self._kept.get(key, (None, 0.0))
        return content if time.monotonic() < ends_at else None

    def kept_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what `kept` gives for each key."""
        return [self.kept(one) for one in keys]

    def keep(self, key: str, content: bytes, *, ttl_s: int | None) -> None:
        """Keep `content` for `ttl_s` (None: for ever) in place of what stood there."""
        self._kept[key] = (content, math.inf if ttl_s is None else time.monotonic() + ttl_s)

    def drop(self, key: str) -> None:
        """Keep nothing under `key` any more."""
        self._kept.pop(key, None)

    def claim(self, key: str, holder: str, *, ttl_s: int) -> bool:
        """Whether `holder` has `key` from now on, for `ttl_s` seconds."""
        with self._lock:
            if self.kept(key) not in (None, holder.encode()):
                return False
            self.keep(key, holder.encode(), ttl_s=ttl_s)
        return True

    def ids(self, *, owner: str | None = None, limit: int = 100) -> Iterator[str]:
        """Up to `limit` ids, the newest first."""
        if owner is not None:
            return islice((one.id for one in self.owned(owner)), limit)
        live = sorted(self._living(), key=lambda item: item[1].made_at, reverse=True)
        return islice((key for key, _ in live), limit)

    def owned(self, owner: str) -> Iterator[Owned]:
        """The owner's Results that have a record, or of which something is stored; the newest first."""
        made_at = {key: entry.made_at for key, entry in self._living() if entry.owner == owner}
        made_at |= self._owners.listed(owner)
        buried = {one for one in made_at if (main := self._bytes(one)[0]) and record.is_tombstone(main)}
        newest = sorted(made_at.items(), key=lambda item: (item[1], item[0]), reverse=True)
        return iter([Owned(one, at) for one, at in newest if one not in buried])

    def everything(self, owner: str) -> list[str]:
        """Every id of this owner of which something may be stored."""
        living = [key for key, entry in self._living() if entry.owner == owner]
        return list(dict.fromkeys([*living, *self._owners.everything(owner)]))

    def enlist(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """Note that something of this id is stored until then."""
        with self._lock:
            entry = self._live(result_id)
        if made_at is not None and entry is not None and entry.owner == owner:
            made_at = entry.made_at  # as it is listed already
        self._owners.enlist(owner, result_id, made_at=made_at, stored_until=stored_until)

    def unlist(self, owner: str, result_ids: list[str]) -> None:
        """List these no more."""
        self._owners.unlist(owner, result_ids)

    def forget(self, owner: str, result_id: str) -> None:
        """Note nothing of this id any more."""
        self._owners.remove(owner, result_id)

    def erase(self, owner: str) -> None:
        """Forget the owner's lists, Events, counts and keys."""
        self._owners.erase(owner)
        self._streams.erase(owner)
        for key in [key for key in self._kept if key.startswith(layout.owner_prefixes(owner))]:
            self.drop(key)

    def _living(self) -> list[tuple[str, _StoredRecord]]:
        with self._lock:
            self._drop_expired()
            return [(key, one) for key, one in self._entries.items() if not record.is_tombstone(one.main)]

    def _enter(self, result_id: str, box: EventInbox) -> None:
        with self._lock:
            self._boxes.setdefault(result_id, []).append(box)

    def _leave(self, result_id: str, box: EventInbox) -> None:
        with self._lock:
            self._boxes[result_id].remove(box)
            if not self._boxes[result_id]:
                del self._boxes[result_id]

    def _bytes(self, result_id: str) -> tuple[bytes | None, bytes | None]:
        with self._lock:
            entry = self._live(result_id)
        return (None, None) if entry is None else (entry.main, entry.beside)

    def _live(self, result_id: str) -> _StoredRecord | None:
        entry = self._entries.get(result_id)
        return entry if entry is not None and time.monotonic() < entry.ends_at else None

    def _drop_expired(self) -> None:
        now = time.monotonic()
        while self._ends and self._ends[0][0] <= now:
            _, result_id = heapq.heappop(self._ends)
            if result_id in self._entries and self._entries[result_id].ends_at <= now:
                del self._entries[result_id]


def _entry(result: Result, ttl_s: int | None) -> _StoredRecord:
    main, beside = record.encode(result)
    made_at = result.created_at or result.changed_at or time.time()
    ends_at = math.inf if ttl_s is None else time.monotonic() + ttl_s
    return _StoredRecord(main=main, beside=beside, owner=result.owner, made_at=made_at, ends_at=ends_at)


def _event(result: Result) -> Event:
    """As it comes out of Redis."""
    return record.decode_event(record.encode_event(result)) or Event(result.id, str(result.state))


def _allows(over: Overwrite, before: _StoredRecord, after: _StoredRecord) -> bool:
    if over is Overwrite.IF_ABSENT or record.is_tombstone(before.main):
        return False
    if (before.main, before.beside) == (after.main, after.beside):
        return True
    if over is Overwrite.UNREADABLE:
        return True
    code = record.state_code(before.main)
    return code != record.SUCCESS_CODE and (over is Overwrite.UNLESS_SUCCESS or code < record.FIRST_TERMINAL_CODE)
