"""Index: the contract of a driver that stores Results by id and announces each change."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from resultstore.model.event import Announcement, Event, OwnerEvent
from resultstore.model.result import Result
from resultstore.model.spill import Spill


class Overwrite(StrEnum):
    """What a save may replace. A readable SUCCESS and a tombstone are never replaced."""

    UNLESS_SUCCESS = "anything"  # a transition: replaces everything but SUCCESS
    IF_UNFINISHED = "unfinished"  # restoring a sealed Result: replaces nothing, or a non-terminal state
    IF_ABSENT = "nothing"  # announcing work at dispatch: written only if there is no record
    UNREADABLE = "unreadable"  # a record that the caller could not read: replaces everything but a tombstone


@runtime_checkable
class Index(Protocol):
    """Store Results by id, each transition atomic. Every method raises IndexUnavailable if the server is away.

    `peek` and `load` return a tombstone as a Result that is `deleted`.
    """

    def peek(self, result_id: str) -> Result | None:
        """Return the small record (state, progress, times, a small value); larger parts are left at their defaults."""

    def load(self, result_id: str) -> Result | None:
        """Return the whole record in one round trip, with larger values, Artifacts, traceback and extra."""

    def save(self, result: Result, *, ttl_s: int | None, over: Overwrite = Overwrite.UNLESS_SUCCESS) -> bool:
        """Write the record if `over` allows, expire it after `ttl_s`, announce it. Return whether it was written.

        Idempotent: repeating a save changes nothing and returns True again, except with `Overwrite.IF_ABSENT`.
        """

    def delete(self, result_id: str) -> None:
        """Delete the whole record, but not a tombstone. Do nothing if there is none."""

    def write_tombstone(self, result_id: str, *, owner: str, ttl_s: int) -> None:
        """Replace the record by a tombstone for `ttl_s`, and announce the deletion to those who watch the id.

        While the tombstone exists, every save of this id is refused.
        """

    @property
    def listing(self) -> "Listing":
        """Reads many records, and lists ids."""

    @property
    def owners(self) -> "OwnerLists":
        """Records what is stored of each owner."""

    @property
    def keys(self) -> "Keys":
        """Small bytes under the caller's own keys."""

    @property
    def unconfirmed(self) -> "UnconfirmedWrites":
        """Writes that may be lost."""

    @property
    def events(self) -> "Events":
        """Subscriptions to changes, by id and by owner."""


class Owned(msgspec.Struct, frozen=True):
    """An entry of an owner's list: an id, and when its Result was created (epoch seconds)."""

    id: str
    made_at: float


class Listing(Protocol):
    """Lists ids, and reads many records in one round trip."""

    def ids(self, *, owner: str | None = None, limit: int = 100) -> Iterator[str]:
        """Yield up to `limit` ids: with an owner the newest first, else in any order."""

    def owned(self, owner: str) -> Iterator[Owned]:
        """Yield the owner's Results that have a record or stored bytes, the newest first."""

    def everything(self, owner: str) -> list[str]:
        """Return every id of the owner that may have stored bytes or has a record, also ids that are no Results.

        Reads all records, so it is slow: one that was written by `UnconfirmedWrites` is on no list.
        """

    def peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return what `Index.peek` returns for each id, in order; None also for an unreadable record.

        An unreadable record is logged and counted in `unreadable_total`.
        """

    def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return what `Index.load` returns for each id, in order; None also for an unreadable record.

        An unreadable record is logged and counted in `unreadable_total`.
        """

    @property
    def unreadable_total(self) -> int:
        """Return how many unreadable records this process has skipped."""


class OwnerLists(Protocol):
    """Records which ids an owner has for as long as their bytes are stored; `Listing.owned` reads it."""

    def enlist(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """Record that bytes of this id are stored until `stored_until` (epoch seconds; infinite: forever).

        `Listing.owned` lists it as created at `made_at`; with None, only `Listing.everything` does.
        """

    def unlist(self, owner: str, result_ids: list[str]) -> None:
        """Remove ids that have neither record nor seal from `Listing.owned`. `Listing.everything` keeps them."""

    def remove_deleted(self, result_id: str, *, owner: str) -> None:
        """Remove a deleted Result from the owner's lists, and announce the deletion (state `seal.DELETED`)."""

    def forget(self, owner: str, result_id: str) -> None:
        """Remove an id without stored bytes from all lists of the owner. Announce nothing."""

    def erase(self, owner: str) -> None:
        """Delete the owner's lists, Events, counters and keys, but not the records."""


class Keys(Protocol):
    """Stores small bytes under the caller's own keys."""

    def read(self, key: str) -> bytes | None:
        """Return what is stored under `key`, or None."""

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what `read` returns for each key, in order."""

    def keep(self, key: str, content: bytes, *, ttl_s: int | None) -> None:
        """Store `content` for `ttl_s` (None: forever), replacing what is there."""

    def drop(self, key: str) -> None:
        """Delete `key`. Do nothing if it does not exist."""

    def claim(self, key: str, holder: str, *, ttl_s: int) -> bool:
        """Take a distributed lock with a lease of `ttl_s`. Return whether `holder` has it now.

        Only one holder has a key at a time. Claiming again renews the holder's own lease.
        """


class UnconfirmedWrites(Protocol):
    """Writes without waiting for the server. They raise nothing, and any of them may be lost."""

    def save_if_absent(self, result: Result, *, ttl_s: int | None) -> None:
        """Write the small record if there is none. The caller sets `changed_at`."""

    def add_note(self, key: str, note: str, *, ttl_s: int | None) -> None:
        """Add `note` to the set under the caller's own `key`, which expires after `ttl_s` (None: never)."""

    def read_notes(self, key: str) -> frozenset[str]:
        """Return the notes under `key`. Waits for the server, and raises IndexUnavailable."""


class Watch(Protocol):
    """An open subscription to one id. It is subscribed once the `with` block is entered."""

    def wait(self, timeout_s: float) -> Event | None:
        """Return the next Event, or None if none came within `timeout_s`.

        After a lost connection was restored it returns None at once: the caller loads the record again.
        """


class Subscription(Protocol):
    """A subscription to many ids, read by the thread that waits."""

    def listen(self, result_ids: Sequence[str]) -> None:
        """Subscribe to these ids without waiting for the server. While it is away, they are remembered."""

    def leave(self, *result_ids: str) -> None:
        """Unsubscribe from these ids. Never blocks: a garbage collector may call it."""

    def wait(self, timeout_s: float) -> list[Announcement]:
        """Return the Events that came, after `timeout_s` at the latest. One caller at a time.

        An Event without a state means that the id is subscribed from now on: the caller loads its record.
        One comes for each id after `listen`, and again after a lost connection.
        """

    def close(self) -> None:
        """Unsubscribe from everything."""


class Feed(Protocol):
    """A subscription to many owners over one connection, used like a Subscription."""

    def listen(self, owners: Sequence[str]) -> None:
        """Subscribe to the Events of these owners without waiting for the server."""

    def leave(self, owner: str) -> None:
        """Unsubscribe from an owner. Never blocks."""

    def wait(self, timeout_s: float) -> list[OwnerEvent]:
        """Return the Events that came, after `timeout_s` at the latest. One caller at a time.

        An OwnerEvent without an Event comes for each owner after `listen`, and again after a lost connection.
        Earlier Events may be missing then: `Events.read_missed` returns them.
        """

    def close(self) -> None:
        """Unsubscribe from everything."""


class Events(Protocol):
    """Subscriptions to changes by id, and to the ordered Events of an owner.

    The owner "" is for Results without an owner: their Events are announced, but not stored.
    """

    def watch(self, result_id: str) -> AbstractContextManager[Watch]:
        """Subscribe to one id for the length of the `with` block."""

    def open_subscription(self, *, also: Callable[[str], str] | None = None) -> Subscription:
        """Return a new Subscription, for this process; it connects at first use.

        `also` names a second channel of each id. A message there becomes an Event without a state.
        """

    def open_feed(self) -> Feed:
        """Return a new Feed, for this process; it connects at first use."""

    def last_event_id(self, owner: str) -> str:
        """Return the stream id of the owner's newest Event, or "0-0"."""

    def read_missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """Return the owner's Events after the stream id `after`; None if `after` is not in the stream any more."""


@runtime_checkable
class ScriptRunner(Protocol):
    """Optional for `Keys`: several steps on the caller's own keys, in one atomic step. The memory driver has none."""

    def run_script(self, script: str, *, keys: Sequence[str], args: Sequence[str | bytes | float]) -> list[object]:
        """Run a Lua `script` that returns a list. It must be idempotent: a lost answer repeats it."""


@runtime_checkable
class EarlyAnnouncer(Protocol):
    """Optional for `Events`: waiters prefetch a value before it is sealed. The memory driver has none."""

    def announce_early(self, result_id: str, spill: Spill) -> None:
        """Announce where the value of the id is stored, without waiting for the server. Raises nothing."""


class MemoryUse(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of one server of an index.

    Args:
        used_bytes: what its data takes.
        limit_bytes: what it may take (`maxmemory`); 0: no limit.
        policy: what it does at the limit (`maxmemory-policy`); "" if it does not say.
    """

    used_bytes: int
    limit_bytes: int
    policy: str


@runtime_checkable
class MemoryReporter(Protocol):
    """Optional for `Index`: reports the memory of its servers. The memory driver has none."""

    def memory(self) -> list[MemoryUse]:
        """Return one entry for each server that holds data."""


@runtime_checkable
class IdChecker(Protocol):
    """Optional for `Index`: refuses ids that a Redis Cluster cannot store. The memory driver stores any id."""

    def check_id(self, result_id: str) -> None:
        """Raise BadReference for an id that cannot be stored here."""
