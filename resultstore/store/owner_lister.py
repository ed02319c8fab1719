"""Owners: what each owner has, for as long as anything of it is stored, and whether that is known completely."""

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

RELOAD_CHECK_S: Final = 5.0  # how long a "no" is remembered: each question may list seals
_YES: Final = b"1"


class OwnerPage(msgspec.Struct, frozen=True):
    """Results of an owner's list.

    Args:
        results: those that could be read, in the order of their ids.
        is_whole: whether all could: None of them is unreadable, and no server was away.
    """

    results: tuple[Result, ...]
    is_whole: bool


class OwnerLister:
    """The lists of the owners, in the index.

    What is to be stored is noted before it is stored: a crash leaves a line too many, and never one too few.

    Args:
        index: holds the lists.
        blobs: what is stored; None where there is no object store.
        lookup: reads the Results.
    """

    def __init__(self, index: Index, *, blobs: BlobStore | None, lookup: Lookup) -> None:
        self._index = index
        self._blobs = blobs
        self._lookup = lookup
        self._incomplete_until = 0.0
        self._owes = False  # something was stored while the index was away, and is not noted

    def listed(self, owner: str, *, limit: int) -> list[Owned]:
        """An owner's Results, the newest first: those with a record, and those of which something is stored.

        A line may have neither a record nor a seal: `load` finds that out, and takes it off the list.
        """
        found: list[Owned] = []
        for one in self._index.listing.owned(owner):
            if len(found) == limit:
                break
            found.append(one)
        return found

    def load(self, owner: str, result_ids: list[str]) -> OwnerPage:
        """The Results of these lines that are the owner's own; each that has no record is read from its seal."""
        known = dict(zip(result_ids, self._lookup.find_many(result_ids), strict=True))
        found = self._found([one for one, result in known.items() if result is None])
        if unknown := [one for one, answer in found.items() if answer is None]:
            self._index.owners.unlist(owner, unknown)
        answers = [known[one] or found.get(one) for one in result_ids]
        # Whoever can write to Redis can put any id on anybody's list: record and seal say whose it is.
        mine = tuple(one for one in answers if isinstance(one, Result) and one.owner == owner)
        is_whole = not any(isinstance(one, ResultStoreError) for one in answers)
        return OwnerPage(mine, is_whole=is_whole)

    def _found(self, result_ids: Sequence[str]) -> dict[str, Result | ResultStoreError | None]:
        """What a look-up says of each id that has no record, a few at a time; a store that is away is not asked on."""
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
        """Whether the lists name everything that is stored.

        Not after the index was lost, until they were rebuilt from the seals. Without an object store there is nothing
        beyond the index.
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
        """Note that the lists name everything: nothing was sealed yet, or they were rebuilt."""
        self._index.keys.keep(layout.OWNERS_COMPLETE_KEY, _YES, ttl_s=None)
        self._incomplete_until = 0.0

    def expect(self, owner: str, result_id: str, *, made_at: float | None, retention: str) -> None:
        """Note what is about to be stored of an id for this class; not listed where `made_at` is None."""
        length_s = layout.RETENTION_S[layout.require_class(retention)]
        until = math.inf if length_s is None else time.time() + length_s
        self.note(owner, result_id, made_at=made_at, stored_until=until)

    def expect_seal(self, attempt: Attempt, *, retention: str) -> None:
        """Note what `attempt` is about to seal."""
        chosen = longest_class([one.retention for one in attempt.artifacts] or [retention])
        self.expect(attempt.owner, attempt.id, made_at=attempt.started_at, retention=chosen)

    def forget(self, owner: str, result_id: str) -> None:
        """Note nothing of an id any more, of which nothing is stored after all. Best effort: the line expires."""
        if not owner:
            return
        try:
            self._index.owners.forget(owner, result_id)
        except IndexUnavailable as error:
            _log.warning("owner_list_not_written", id=result_id, error=str(error))

    def note(self, owner: str, result_id: str, *, made_at: float | None, stored_until: float) -> None:
        """Note that something of an id is stored until then. Without the index the lists are known to be incomplete."""
        if not owner:
            return
        try:
            if self._owes:
                self._index.keys.drop(layout.OWNERS_COMPLETE_KEY)
                self._owes = False
            self._index.owners.enlist(owner, result_id, made_at=made_at, stored_until=stored_until)
        except IndexUnavailable as error:
            self._owes = True
            _log.warning("owner_list_not_written", id=result_id, error=str(error))
