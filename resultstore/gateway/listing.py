"""Listing: a caller's Results, the newest first, a page at a time."""

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from resultstore.gateway.cursors import Place
from resultstore.gateway.identity.caller import Caller
from resultstore.model.result import Result
from resultstore.store import Store

LISTED_MAX: Final = 10_000  # as many as an owner's list holds
UNOWNED_SCANNED: Final = 2_000  # the index lists what nobody owns in no order
READ_MAX: Final = 2_000  # records that one page may cost; then it is short, and has a cursor all the same
_READ_AT_ONCE: Final = 200


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
    """Some Results; where the next ones are; whether the listing leaves nothing out that the index knows."""

    results: tuple[Result, ...]
    next: Place | None
    complete: bool


class Listing:
    """Reads what the index lists.

    Args:
        store: where the Results are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, caller: Caller, filters: Filters, *, limit: int, after: Place | None) -> Page:
        """Up to `limit` Results behind `after` that the caller may see; his own, and for `admin` what nobody owns."""
        ids = list(self._store.ids(owner=caller.owner, limit=LISTED_MAX))
        unowned, all_seen = self._unowned(caller)
        left_out: list[str] = []
        ahead = heapq.merge(self._owned(caller, _behind(ids, after), left_out), unowned, key=_newest_first)
        chosen: list[Result] = []
        last: Place | None = None
        for read, result in enumerate(ahead):
            if after is not None and _newest_first(result) <= (-after.made_at, after.id):
                continue
            if len(chosen) == limit or read >= READ_MAX:
                return Page(tuple(chosen), last, complete=all_seen and not left_out and len(ids) < LISTED_MAX)
            last = Place(_made_at(result), result.id)
            if filters.fit(result):
                chosen.append(result)
        return Page(tuple(chosen), None, complete=all_seen and not left_out and len(ids) < LISTED_MAX)

    def _owned(self, caller: Caller, ids: list[str], left_out: list[str]) -> Iterator[Result]:
        left = iter(ids)
        while some := list(islice(left, _READ_AT_ONCE)):
            # Whoever can write to Redis can put any id on anybody's list: the record says whose it is.
            found = self._store.load_many(some)
            left_out += [one for one, result in zip(some, found, strict=True) if result is None]
            mine = [one for one in found if one is not None and one.owner == caller.owner]
            yield from sorted(mine, key=_newest_first)

    def _unowned(self, caller: Caller) -> tuple[list[Result], bool]:
        if "admin" not in caller.scopes:
            return [], True
        ids = list(self._store.ids(limit=UNOWNED_SCANNED))
        found = [one for one in self._store.load_many(ids) if one is not None and not one.owner]
        return sorted(found, key=_newest_first), len(ids) < UNOWNED_SCANNED


def _behind(ids: list[str], after: Place | None) -> list[str]:
    """Those behind the place, where its id is still listed: nothing that was told already is read again."""
    if after is None or after.id not in ids:
        return ids
    return ids[ids.index(after.id) + 1 :]


def _made_at(result: Result) -> float:
    return result.created_at or result.changed_at or 0.0


def _newest_first(result: Result) -> tuple[float, str]:
    return (-_made_at(result), result.id)
