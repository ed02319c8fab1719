"""OwnerLister: the ids that each owner has in the index and the object store, and whether the lists are complete."""

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from resultstore.blobs.blobstore import BlobStore
from resultstore.index.index import Index, Owned
from resultstore.model import layout
from resultstore.model.errors import IndexUnavailable, ResultStoreError, Unavailable
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt
from resultstore.store.lookup import SEALS_AT_ONCE, Lookup
from resultstore.store.seals import longest_class
from resultstore.telemetry.logs import Log

_log = Log(__name__)

RELOAD_CHECK_S: Final = 5.0  # how long "incomplete" is cached, because a check may list seals
_YES: Final = b"1"


class OwnerPage(msgspec.Struct, frozen=True):
    """Results of one owner.

    Args:
        results: the Results that could be read, in the order of their ids.
        is_whole: False if one was unreadable, or if a server was unavailable.
    """

    results: tuple[Result, ...]
    is_whole: bool


class OwnerLister:
    """Lists the ids of each owner in the index.

    An id is listed before anything is stored, so that a crash leaves an extra entry and never a missing one.

    Args:
        index: stores the lists.
        blobs: the object store, or None.
        lookup: reads the Results.
    """

    def __init__(self, index: Index, *, blobs: BlobStore | None, lookup: Lookup) -> None:
        self._index = index
        self._blobs = blobs
        self._lookup = lookup
        self._incomplete_until = 0.0
        self._misses_entries = False  # something was stored but not listed, because the index was unavailable

    def newest(self, owner: str, *, limit: int) -> list[Owned]:
        """Return up to `limit` entries of an owner, newest first: ids with a record or with stored content.

        An entry may have neither any more; `load` finds that out and removes it from the list.
        """
        found: list[Owned] = []
        for one in self._index.listing.owned(owner):
            if len(found) == limit:
                break
            found.append(one)
        return found

    def load(self, owner: str, result_ids: list[str]) -> OwnerPage:
        """Return the owner's Results among these ids; a Result without a record is read from its seal."""
        known = dict(zip(result_ids, self._lookup.find_many(result_ids), strict=True))
        found = self._found([one for one, result in known.items() if result is None])
        if unknown := [one for one, answer in found.items() if answer is None]:
            self._index.owners.unlist(owner, unknown)
        answers = [known[one] or found.get(one) for one in result_ids]
        # An attacker with access to Redis can list any id for any owner: record and seal name the real owner.
        mine = tuple(one for one in answers if isinstance(one, Result) and one.owner == owner)
        is_whole = not any(isinstance(one, ResultStoreError) for one in answers)
        return OwnerPage(mine, is_whole=is_whole)

    def _found(self, result_ids: Sequence[str]) -> dict[str, Result | ResultStoreError | None]:
        """Look up ids without a record, a few at a time; stop when a server is unavailable."""
        answers: dict[str, Result | ResultStoreError | None] = {}
        for start in range(0, len(result_ids), SEALS_AT_ONCE):
            batch = result_ids[start : start + SEALS_AT_ONCE]
            with ThreadPoolExecutor(len(batch)) as pool:
                answers |= zip(batch, pool.map(self._answer, batch), strict=True)
            away = next((one for one in answers.values() if isinstance(one, Unavailable)), None)
            if away is not None:
                return answers | dict.fromkeys(result_ids[start + len(batch) :], away)
        return answers

    def _answer(self, result_id: str) -> Result | ResultStoreError | None:
        try:
            return self._lookup.find(result_id)
        except ResultStoreError as error:
            _log.warning("result_not_listed", id=result_id, error=str(error))
            return error

    def is_complete(self) -> bool:
        """Return True if the lists name everything that is stored.

        False after the index was lost, until the lists are rebuilt from the seals. Without an object store the index
        is always complete.
        """
        if self._blobs is None:
            return True
        if time.monotonic() < self._incomplete_until:
            return False
        if self._index.keys.read(layout.OWNERS_COMPLETE_KEY) == _YES:
            return True
        if next(iter(self._blobs.list("seals/")), None) is None:
            self.mark_complete()
            return True
        self._incomplete_until = time.monotonic() + RELOAD_CHECK_S
        return False

    def mark_complete(self) -> None:
        """Mark the lists as complete: nothing was sealed yet, or they were rebuilt."""
        self._index.keys.keep(layout.OWNERS_COMPLETE_KEY, _YES, ttl_s=None)
        self._incomplete_until = 0.0

    def add(self, owner: str, result_id: str, *, made_at: float | None, retention: str) -> None:
        """Add an id whose content is about to be stored. `newest` shows it only if `made_at` is given."""
        length_s = layout.RETENTION_S[layout.require_class(retention)]
        until = math.inf if length_s is None else time.time() + length_s
        self._add(owner, result_id, made_at=made_at, stored_until=until)

    def add_attempt(self, attempt: Attempt, *, retention: str) -> None:
        """Add the id of an attempt that is about to be sealed."""
        chosen = longest_class([one.retention for one in attempt.artifacts] or [retention])
        self.add(attempt.owner, attempt.id, made_at=attempt.started_at, retention=chosen)

    def remove(self, owner: str, result_id: str) -> None:
        """Remove an id of which nothing is stored. Best effort: the entry expires."""
        if not owner:
            return
        try:
            self._index.owners.forget(owner, result_id)
        except IndexUnavailable as error:
            _log.warning("owner_list_not_written", id=result_id, error=str(error))

    def _add(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """Add an id until `stored_until`. If the index is unavailable, mark the lists as incomplete."""
        if not owner:
            return
        try:
            if self._misses_entries:
                self._index.keys.drop(layout.OWNERS_COMPLETE_KEY)
                self._misses_entries = False
            self._index.owners.enlist(owner, result_id, made_at=made_at, stored_until=stored_until)
        except IndexUnavailable as error:
            self._misses_entries = True
            _log.warning("owner_list_not_written", id=result_id, error=str(error))
