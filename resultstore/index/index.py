"""Index: holds Results by id and announces each change."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from resultstore.model.event import Announcement, Event, OwnerEvent
from resultstore.model.result import Result
from resultstore.model.spill import Spill


class Overwrite(StrEnum):
    """What a save may replace. A SUCCESS that can be read, and a tombstone, are never replaced."""

    UNLESS_SUCCESS = "anything"  # a transition: over everything but SUCCESS
    IF_UNFINISHED = "unfinished"  # putting a sealed Result back: over nothing or a non-terminal state
    IF_ABSENT = "nothing"  # announcing work at dispatch: only where no record stands
    UNREADABLE = "unreadable"  # a record that the caller could not read: over everything but a tombstone


class Watch(Protocol):
    """An open subscription to the changes of one id. Subscribed once the `with` block is entered."""

    def wait(self, timeout_s: float) -> Event | None:
        """The next Event, or None when none came in `timeout_s`.

        A lost connection is restored inside and answers None at once: the caller checks again.
        """


@runtime_checkable
class Index(Protocol):
    """Results by id, each transition atomic. Raises IndexUnavailable when the server cannot be reached.

    Where an index also `Buries`, `peek` and `load` return a tombstone as a Result that is `deleted`.
    """

    def peek(self, result_id: str) -> Result | None:
        """The small record alone: state, progress, times, a small value; what lies beside it is left at its default."""

    def load(self, result_id: str) -> Result | None:
        """The record with what lies beside it (larger values, Artifacts, traceback, extra) in one round trip."""

    def save(self, result: Result, *, ttl_s: int | None, over: Overwrite = Overwrite.UNLESS_SUCCESS) -> bool:
        """Write the record if `over` allows, let it expire after `ttl_s`, and announce it. Whether it was written.

        Idempotent: the same save twice leaves what one leaves, and counts as written both times; with
        `Overwrite.IF_ABSENT` only the first one does.
        """

    def delete(self, result_id: str) -> None:
        """Remove the record and what lies beside it, but not a tombstone; no error when there is none."""

    def watch(self, result_id: str) -> AbstractContextManager[Watch]:
        """Subscribe to an id; the channel is gone when the block is left."""


@runtime_checkable
class Buries(Protocol):
    """The further power of keeping what was deleted from coming back."""

    def bury(self, result_id: str, *, owner: str, ttl_s: int) -> None:
        """Write a tombstone over the record, whatever it says, and announce the deletion to those who watch the id.

        For `ttl_s` seconds every save of this id is refused.
        """


@runtime_checkable
class Lists(Protocol):
    """The further power of saying which ids there are."""

    def ids(self, *, owner: str | None = None, limit: int = 100) -> Iterator[str]:
        """Up to `limit` ids, newest first where an owner is named, else in any order."""


class Owned(msgspec.Struct, frozen=True):
    """One line of an owner's list: an id, and when its Result was made (epoch seconds)."""

    id: str
    made_at: float


@runtime_checkable
class ListsOwned(Protocol):
    """The further power of saying what an owner has, for as long as anything of it is stored."""

    def owned(self, owner: str) -> Iterator[Owned]:
        """The owner's Results that have a record, or of which something is stored; the newest first."""

    def enlist(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """Note that something of this id is stored until then (epoch seconds; infinite for ever).

        Listed as made at `made_at`; not listed where that is None.
        """

    def unlist(self, owner: str, result_ids: list[str]) -> None:
        """List these no more, as they have neither a record nor a seal. What is stored of them stays noted."""


@runtime_checkable
class ErasesOwned(Protocol):
    """The further power of forgetting all that is noted of an owner."""

    def everything(self, owner: str) -> list[str]:
        """Every id of this owner of which something may be stored, also those that are no Results."""

    def forget(self, owner: str, result_id: str) -> None:
        """Note nothing of this id any more: nothing is stored of it. Nobody is told."""

    def erase(self, owner: str) -> None:
        """Forget the owner's lists, Events, counts and keys. The records themselves are left."""


@runtime_checkable
class LoadsMany(Protocol):
    """The further power of finding many Results in one round trip.

    A record that cannot be read is skipped: logged, counted in `unreadable_total`, and given as None.
    """

    def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """What `load` gives for each id, in their order; None also for a record that cannot be read."""

    def peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """What `peek` gives for each id, in their order; None also for a record that cannot be read."""

    @property
    def unreadable_total(self) -> int:
        """How many records this process has skipped because it could not read them."""


@runtime_checkable
class Hints(Protocol):
    """The further power of writing a record that may be lost, without waiting for the server."""

    def hint(self, result: Result, *, ttl_s: int | None) -> None:
        """Write the record where none stands; raises nothing. `changed_at` is the caller's."""


@runtime_checkable
class TellsEarly(Protocol):
    """The further power of telling where a value stands while its attempt still seals it, so that it can be fetched."""

    def tell_early(self, result_id: str, spill: Spill) -> None:
        """Tell whoever waits for the id, without waiting for the server; raises nothing."""


@runtime_checkable
class Notes(Protocol):
    """The further power of gathering words under a door's own key, of which some may be lost."""

    def note(self, key: str, word: str, *, ttl_s: int | None) -> None:
        """Add `word` to what stands there, for another `ttl_s` (None: for ever), without waiting; raises nothing."""

    def noted(self, key: str) -> frozenset[str]:
        """What was noted under `key`."""


class Subscription(Protocol):
    """Hears many ids at once for whoever waits in `wait`; no thread of its own stands between server and waiter."""

    def listen(self, result_ids: Sequence[str]) -> None:
        """Begin to hear these ids. Does not wait for the server; while it is away, the ids are remembered."""

    def leave(self, *result_ids: str) -> None:
        """Stop hearing these ids. Never blocks: a garbage collector may call it."""

    def wait(self, timeout_s: float) -> list[Announcement]:
        """The Events that have come, at the latest after `timeout_s`; for one caller at a time.

        An Event without a state says that the id is heard from now on: the caller checks it. One comes for each id
        after `listen`, and again after a connection was lost.
        """

    def close(self) -> None:
        """Hear nothing any more."""


@runtime_checkable
class ChecksIds(Protocol):
    """The further power of telling an id that this index cannot store, before it is asked for together with others."""

    def check_id(self, result_id: str) -> None:
        """Raise BadReference for an id that cannot be stored here."""


@runtime_checkable
class HasSubscription(Protocol):
    """The further power of hearing many ids over one connection."""

    def line(self, *, also: Callable[[str], str] | None = None) -> Subscription:
        """A new line; it connects at first use and serves the process that made it.

        Where `also` names a second channel of an id, a message there is an Event without a state.
        """


class Feed(Protocol):
    """Hears many owners at once, over one connection; used like a Line."""

    def listen(self, owners: Sequence[str]) -> None:
        """Begin to hear what happens to their Results. Does not wait for the server; owners are remembered."""

    def leave(self, owner: str) -> None:
        """Stop hearing an owner. Never blocks."""

    def wait(self, timeout_s: float) -> list[OwnerEvent]:
        """What has been told, at the latest after `timeout_s`; for one caller at a time.

        A Told without an Event comes for each owner after `listen`, and again after a connection was lost: what was
        told before may be missing, and `OwnerStreams.missed` has it.
        """

    def close(self) -> None:
        """Hear nothing any more."""


@runtime_checkable
class OwnerStreams(Protocol):
    """The further power of telling, in order, what happens to an owner's Results.

    The owner "" stands for Results that nobody owns: they are told of as it happens, and never kept.
    """

    def feed(self) -> Feed:
        """A new Feed; it connects at first use and serves the process that made it."""

    def latest(self, owner: str) -> str:
        """The place of the newest Event in the owner's stream; "0-0" where there is none."""

    def missed(self, owner: str, *, after: str) -> list[OwnerEvent] | None:
        """What was told behind the place `after`; None when `after` is not (or no longer) in the stream."""

    def tell_gone(self, result_id: str, *, owner: str) -> None:
        """Tell the owner that a Result was deleted (state `seal.DELETED`), and take it off the owner's list."""


@runtime_checkable
class Keeps(Protocol):
    """The further power of keeping a door's own small bytes under its own keys."""

    def kept(self, key: str) -> bytes | None:
        """What was kept under `key`, or None."""

    def kept_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what `kept` gives for each key."""

    def keep(self, key: str, content: bytes, *, ttl_s: int | None) -> None:
        """Keep `content` for `ttl_s` (None: for ever) in place of what stood there."""

    def drop(self, key: str) -> None:
        """Keep nothing under `key` any more."""


@runtime_checkable
class Claims(Protocol):
    """The further power of letting one of many do a thing, and another one when that one is gone."""

    def claim(self, key: str, holder: str, *, ttl_s: int) -> bool:
        """Whether `holder` has `key` from now on, for `ttl_s` seconds: nobody had it, or the same holder did.

        Only one holder has a key at a time. Asking again is harmless: a lost answer costs nothing.
        """


@runtime_checkable
class RunsScripts(Protocol):
    """The further power of doing several things to a door's own keys in one atomic step."""

    def run_script(self, script: str, *, keys: Sequence[str], args: Sequence[str | bytes | float]) -> list[object]:
        """Run `script` (Lua, `KEYS` and `ARGV`; it returns a list). A lost answer repeats it: make it idempotent."""
