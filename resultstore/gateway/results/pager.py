"""ResultPager: the caller's Results, newest first, in pages."""

import heapq
from collections.abc import Iterator
from typing import Final

import msgspec

from resultstore.gateway.identity.caller import Caller
from resultstore.gateway.results.cursors import CursorPosition
from resultstore.index.index import Owned
from resultstore.model.result import Result
from resultstore.store import Store

LISTED_MAX: Final = 10_000  # the length of an owner's list
UNOWNED_SCANNED: Final = 2_000  # the index lists Results without an owner in no order
READ_MAX: Final = 2_000  # records read for one page; at this limit the page is short and has a cursor
_READ_AT_ONCE: Final = 100  # a page reads at most this many seals more than it needs

_Item = tuple[Owned, Result]


class Filters(msgspec.Struct, frozen=True):
    """The filters of a listing; "" matches any. `q` is a substring of the id, the task or a file name."""

    state: str = ""
    task: str = ""
    q: str = ""

    def matches(self, result: Result) -> bool:
        """Return True if the Result matches all filters."""
        if self.state and result.state != self.state:
            return False
        if self.task and result.task != self.task:
            return False
        texts = (result.id, result.task, *(one.file_name for one in result.artifacts))
        return not self.q or any(self.q.casefold() in one.casefold() for one in texts)


class Page(msgspec.Struct, frozen=True):
    """One page; `next` is where the following one starts, `complete` says that no own Result was left out."""

    results: tuple[Result, ...]
    next: CursorPosition | None
    complete: bool


class ResultPager:
    """Reads the owners' lists, and for `admin` the records without an owner.

    Args:
        store: holds the Results.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, caller: Caller, filters: Filters, *, limit: int, after: CursorPosition | None) -> Page:
        """Return up to `limit` visible Results after `after`: the caller's own, for `admin` also those without owner.

        The order is that of the owner's list, so that it does not change when a record expires and its seal is read.
        """
        entries = self._store.owner_lister.newest(caller.owner, limit=LISTED_MAX)
        unowned, all_seen = self._unowned(caller)
        own = _OwnResults(self._store, caller, sorted(entries, key=_newest_first), after=after)
        candidates = heapq.merge(own, unowned, key=lambda item: _newest_first(item[0]))
        lists_complete = all_seen and len(entries) < LISTED_MAX and self._store.owner_lister.is_complete()
        chosen: list[Result] = []
        last: CursorPosition | None = None
        for read, (entry, result) in enumerate(candidates):
            if not _is_after(entry, after):
                continue
            if len(chosen) == limit or read >= READ_MAX:
                return Page(tuple(chosen), last, complete=lists_complete and own.is_whole)
            last = CursorPosition(entry.made_at, entry.id)
            if filters.matches(result):
                chosen.append(result)
        return Page(tuple(chosen), None, complete=lists_complete and own.is_whole)

    def _unowned(self, caller: Caller) -> tuple[list[_Item], bool]:
        if "admin" not in caller.scopes:
            return [], True
        ids = list(self._store.ids(limit=UNOWNED_SCANNED))
        found = [one for one in self._store.load_many(ids) if one is not None and not one.owner]
        items = [(Owned(one.id, _made_at(one)), one) for one in found]
        return sorted(items, key=lambda item: _newest_first(item[0])), len(ids) < UNOWNED_SCANNED


class _OwnResults:
    """Iterates over the caller's own Results after a position, reading them in chunks."""

    def __init__(self, store: Store, caller: Caller, entries: list[Owned], *, after: CursorPosition | None) -> None:
        self._store = store
        self._owner = caller.owner
        self._entries = [one for one in entries if _is_after(one, after)]  # earlier pages are not read again
        self.is_whole = True

    def __iter__(self) -> Iterator[_Item]:
        for start in range(0, len(self._entries), _READ_AT_ONCE):
            chunk = {one.id: one for one in self._entries[start : start + _READ_AT_ONCE]}
            loaded = self._store.owner_lister.load(self._owner, list(chunk))
            self.is_whole = self.is_whole and loaded.is_whole
            yield from ((chunk[one.id], one) for one in loaded.results)


def _is_after(entry: Owned, after: CursorPosition | None) -> bool:
    return after is None or _newest_first(entry) > (-after.made_at, after.id)


def _made_at(result: Result) -> float:
    return result.created_at or result.changed_at or 0.0


def _newest_first(entry: Owned) -> tuple[float, str]:
    return (-entry.made_at, entry.id)
