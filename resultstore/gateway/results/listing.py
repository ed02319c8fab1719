"""Listing: a caller's Results, the newest first, a page at a time."""

import heapq
from collections.abc import Iterator
from typing import Final

import msgspec

from resultstore.gateway.identity.caller import Caller
from resultstore.gateway.results.cursors import CursorPosition
from resultstore.index.index import Owned
from resultstore.model.result import Result
from resultstore.store import Store

LISTED_MAX: Final = 10_000  # as many as an owner's list holds
UNOWNED_SCANNED: Final = 2_000  # the index lists what nobody owns in no order
READ_MAX: Final = 2_000  # records that one page may cost; then it is short, and has a cursor all the same
_READ_AT_ONCE: Final = 100  # a page reads at most so many seals more than it needs

_Item = tuple[Owned, Result]


class Filters(msgspec.Struct, frozen=True):
    """Which Results are wanted; "" is any. `q` stands somewhere in id, task, or a file's name."""

    state: str = ""
    task: str = ""
    q: str = ""

    def fit(self, result: Result) -> bool:
        """Whether this one is wanted."""
        if self.state and result.state != self.state:
            return False
        if self.task and result.task != self.task:
            return False
        words = (result.id, result.task, *(one.file_name for one in result.artifacts))
        return not self.q or any(self.q.casefold() in one.casefold() for one in words)


class Page(msgspec.Struct, frozen=True):
    """Some Results; where the next ones are; whether nothing of the caller's own that is stored was left out."""

    results: tuple[Result, ...]
    next: CursorPosition | None
    complete: bool


class Listing:
    """Reads what the owners' lists name, and the records of what nobody owns.

    Args:
        store: where the Results are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, caller: Caller, filters: Filters, *, limit: int, after: CursorPosition | None) -> Page:
        """Up to `limit` Results behind `after` that the caller may see: their own, and for `admin` what nobody owns.

        The order is that of the list: it stays the same when a record has expired and the seal is read instead.
        """
        lines = self._store.owners.listed(caller.owner, limit=LISTED_MAX)
        unowned, all_seen = self._unowned(caller)
        own = _Own(self._store, caller, sorted(lines, key=_newest_first), after=after)
        ahead = heapq.merge(own, unowned, key=lambda item: _newest_first(item[0]))
        whole = all_seen and len(lines) < LISTED_MAX and self._store.owners.is_complete()
        chosen: list[Result] = []
        last: CursorPosition | None = None
        for read, (line, result) in enumerate(ahead):
            if not _is_behind(line, after):
                continue
            if len(chosen) == limit or read >= READ_MAX:
                return Page(tuple(chosen), last, complete=whole and own.is_whole)
            last = CursorPosition(line.made_at, line.id)
            if filters.fit(result):
                chosen.append(result)
        return Page(tuple(chosen), None, complete=whole and own.is_whole)

    def _unowned(self, caller: Caller) -> tuple[list[_Item], bool]:
        if "admin" not in caller.scopes:
            return [], True
        ids = list(self._store.ids(limit=UNOWNED_SCANNED))
        found = [one for one in self._store.load_many(ids) if one is not None and not one.owner]
        items = [(Owned(one.id, _made_at(one)), one) for one in found]
        return sorted(items, key=lambda item: _newest_first(item[0])), len(ids) < UNOWNED_SCANNED


class _Own:
    """The caller's own Results behind a place, read some at a time."""

    def __init__(self, store: Store, caller: Caller, lines: list[Owned], *, after: CursorPosition | None) -> None:
        self._store = store
        self._owner = caller.owner
        self._lines = [one for one in lines if _is_behind(one, after)]  # what was told already is not read again
        self.is_whole = True

    def __iter__(self) -> Iterator[_Item]:
        for start in range(0, len(self._lines), _READ_AT_ONCE):
            some = {one.id: one for one in self._lines[start : start + _READ_AT_ONCE]}
            loaded = self._store.owners.load(self._owner, list(some))
            self.is_whole = self.is_whole and loaded.is_whole
            yield from ((some[one.id], one) for one in loaded.results)


def _is_behind(line: Owned, after: CursorPosition | None) -> bool:
    return after is None or _newest_first(line) > (-after.made_at, after.id)


def _made_at(result: Result) -> float:
    return result.created_at or result.changed_at or 0.0


def _newest_first(line: Owned) -> tuple[float, str]:
    return (-line.made_at, line.id)
