"""Lookup: finds a Result by the rules of docs/format.md: its record first, then its seal if that is needed."""

import math
import time
from collections.abc import Callable, Sequence

from resultstore.index.index import Index, Overwrite
from resultstore.model.errors import (
    BadReference,
    BlobStoreUnavailable,
    CommitUnknown,
    Damaged,
    IndexUnavailable,
    RecordUnreadable,
    Refused,
    ResultStoreError,
    SealUnreadable,
)
from resultstore.model.layout import DAY_S
from resultstore.model.result import Failure, Result, State
from resultstore.model.seal import DELETED
from resultstore.settings import Settings
from resultstore.store.miss_cache import MissCache
from resultstore.store.seals import Seals
from resultstore.store.signatures import Signatures
from resultstore.telemetry.logs import Log

_log = Log(__name__)

_IN_DOUBT = frozenset({CommitUnknown.__name__, SealUnreadable.__name__})  # failures that may hide a seal
STALE_AFTER_S = 30.0  # an unfinished record that is older than this is checked against the seal
SEALS_AT_ONCE = 8
TOMBSTONE_S = DAY_S  # lifetime of the index's tombstone if the object store has one too


class Lookup:
    """Finds Results.

    Args:
        index: stores the records, which are fast and disposable.
        seals: the durable outcomes; None without an object store.
        signatures: checks that this store created a record's Artifacts.
        settings: the lifetime and the value limit of records that are restored from seals.
    """

    def __init__(self, index: Index, seals: Seals | None, signatures: Signatures, *, settings: Settings) -> None:
        self._index = index
        self._seals = seals
        self._signatures = signatures
        self._settings = settings
        self._misses = MissCache()

    def find(self, result_id: str) -> Result | None:
        """Return the complete Result, or None if the id is unknown.

        A record that names foreign Artifacts is ignored. Raises BadReference if there is no seal to use instead.
        """
        return _unless_deleted(self._found(self._index.load, result_id))

    def poll(self, result_id: str) -> Result | None:
        """Apply the same rules to the small record alone: a state poll never reads a value."""
        return _unless_deleted(self._found(self._index.peek, result_id))

    def was_deleted(self, result_id: str) -> bool:
        """Return True if there is a tombstone of this id in the index, or in the object store if there is no record."""
        found = self._record(result_id)
        return self._has_tombstone(result_id) if found is None else found.deleted

    def deleted_many(self, result_ids: Sequence[str]) -> list[str]:
        """Return the ids whose tombstone is known without asking the object store."""
        peeked = self._peek_many(result_ids)
        return [
            one
            for one, found in zip(result_ids, peeked, strict=True)
            if (self._misses.is_deleted(one) if found is None else found.deleted)
        ]

    def is_wanted(self, result_id: str) -> bool:
        """Return True if work of this id was neither cancelled nor deleted."""
        found = self._record(result_id)
        return not self._has_tombstone(result_id) if found is None else found.state != State.REVOKED

    def _record(self, result_id: str) -> Result | None:
        try:
            return self._index.peek(result_id)
        except RecordUnreadable:
            return None

    def _has_tombstone(self, result_id: str) -> bool:
        if not self._misses.is_missing(result_id):
            self._sealed_or(None, result_id)
        return self._misses.is_deleted(result_id)

    def _found(self, ask: Callable[[str], Result | None], result_id: str) -> Result | None:
        try:
            result = ask(result_id)
        except RecordUnreadable:
            sealed = self._from_seal(result_id)
            if sealed is None:
                raise
            self.put_back(sealed)
            return sealed
        except IndexUnavailable:
            # Sealed Results survive the loss of Redis; unsealed ones are known nowhere else.
            sealed = self._from_seal(result_id)
            if sealed is None:
                raise
            return sealed
        if result is not None and not self._signatures.is_authentic(result):
            return self._find_seal_only(result_id)
        if result is not None and (_is_settled(result) or _is_fresh(result)):
            return result
        return self._sealed_or(result, result_id)

    def _find_seal_only(self, result_id: str) -> Result | None:
        _log.warning("record_not_ours", id=result_id)
        sealed = self._from_seal(result_id)
        if sealed is None:
            raise BadReference(
                f"the record of {result_id} names artifacts that this store did not create for it: delete {result_id}"
            )
        return sealed

    def find_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Do `find` for each id: all records in one round trip, then at most `SEALS_AT_ONCE` seals.

        So polling a thousand ids of running tasks does not send a thousand requests to the object store; the next poll
        reads the next seals.
        """
        return self._found_many(result_ids, self._load_many(result_ids))

    def poll_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Do `poll` for each id, with the same limit."""
        return self._found_many(result_ids, self._peek_many(result_ids))

    def _found_many(self, result_ids: Sequence[str], results: list[Result | None]) -> list[Result | None]:
        asked = 0
        for at, (result_id, result) in enumerate(zip(result_ids, results, strict=True)):
            if result is not None and result.deleted:
                results[at] = None
                continue
            if result is not None and not self._signatures.is_authentic(result):
                _log.warning("record_not_ours", id=result_id)
                result = results[at] = None  # noqa: PLW2901 - from here on it counts as missing
            if result is not None and (_is_settled(result) or _is_fresh(result)):
                continue
            if self._seals is not None and asked < SEALS_AT_ONCE and not self._misses.is_missing(result_id):
                asked += 1
                results[at] = self._one_of_many(result, result_id)
        return results

    def known_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return the records that need no seal, in one round trip; None for the other ids."""
        results = self._load_many(result_ids)
        return [one if one is not None and self._answers(one) else None for one in results]

    def _answers(self, result: Result) -> bool:
        is_answer = _is_settled(result) or _is_fresh(result)
        return is_answer and not result.deleted and self._signatures.is_authentic(result)

    def _peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        return self._index.listing.peek_many(result_ids)

    def _load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        return self._index.listing.load_many(result_ids)

    def _one_of_many(self, result: Result | None, result_id: str) -> Result | None:
        """Do `_sealed_or`, but raise nothing, so that the other ids are answered.

        A seal that cannot be read is a failure, which ends a wait at once; the next look-up reads the seal again. If
        the store is unavailable, the record is returned.
        """
        try:
            return _unless_deleted(self._sealed_or(result, result_id))
        except SealUnreadable as error:
            _log.warning("seal_not_read", id=result_id, error=str(error))
            why = Failure(SealUnreadable.__name__, str(error), SealUnreadable.__module__)
            known = result or Result(id=result_id, state=State.PENDING)
            return known.moved(State.FAILURE, failure=why)
        except (Damaged, Refused, BlobStoreUnavailable) as error:
            _log.warning("seal_not_read", id=result_id, error=str(error))
            return result

    def restore(self, result_id: str) -> bool:
        """Restore the record, or the tombstone, from the seal; return True if there is a seal.

        Return False if the store is unavailable or the seal cannot be read.
        """
        try:
            return self.restore_readable(result_id)
        except Damaged as error:
            _log.warning("seal_not_read", id=result_id, error=str(error))
            return False

    def restore_readable(self, result_id: str) -> bool:
        """Do `restore`, but raise Damaged for a seal that is stored and cannot be read: something was sealed."""
        try:
            sealed = self._from_seal(result_id)
        except Damaged:
            raise
        except ResultStoreError as error:
            _log.warning("seal_not_read", id=result_id, error=str(error))
            return False
        if sealed is None:
            return False
        self.put_back(sealed)
        return True

    def _sealed_or(self, result: Result | None, result_id: str) -> Result | None:
        if self._seals is None or self._misses.is_missing(result_id):
            return result
        sealed = self._from_seal(result_id)
        if sealed is None or (result is None and sealed.state == DELETED):
            self._misses.remember(result_id, deleted=sealed is not None)
            return result
        # The only terminal state that a seal corrects is a failure with an unknown commit.
        self.put_back(
            sealed, over=Overwrite.UNLESS_SUCCESS if result is not None and result.terminal else Overwrite.IF_UNFINISHED
        )
        return sealed

    def _from_seal(self, result_id: str) -> Result | None:
        seal = None if self._seals is None else self._seals.read(result_id)
        return None if seal is None else seal.result()

    def put_back(self, sealed: Result, *, over: Overwrite = Overwrite.IF_UNFINISHED) -> None:
        """Write the seal's success, or its tombstone, to the index. Best effort."""
        try:
            if sealed.state == DELETED:
                self._write_tombstone(sealed)
            else:
                self._put_back(sealed, over=over)
        except IndexUnavailable as error:
            _log.warning("record_not_restored", id=sealed.id, error=str(error))

    def _write_tombstone(self, sealed: Result) -> None:
        self._index.write_tombstone(sealed.id, owner=sealed.owner, ttl_s=TOMBSTONE_S)

    def _put_back(self, sealed: Result, *, over: Overwrite) -> None:
        left_s = math.inf if sealed.expires_at is None else sealed.expires_at - time.time()
        if left_s < 1:
            return
        if sealed.value is not None and len(sealed.value) > self._settings.results.inline_max_bytes:
            sealed = sealed.moved(sealed.state, value=None)  # `Store.value` reads it from the seal
        ttl_s = int(min(left_s, self._settings.results.expires_s))
        if not self._index.save(sealed, ttl_s=ttl_s, over=over):
            self.heal(sealed, ttl_s=ttl_s)

    def heal(self, result: Result, *, ttl_s: int | None) -> bool:
        """Replace an unreadable record by this terminal one, which was refused; return True if it was written."""
        try:
            broken = self._index.load(result.id) is None
        except RecordUnreadable:
            broken = True
        return broken and self._index.save(result, ttl_s=ttl_s, over=Overwrite.UNREADABLE)


def _unless_deleted(result: Result | None) -> Result | None:
    return None if result is None or _is_tombstone(result) else result


def _is_tombstone(result: Result) -> bool:
    """Return True for a tombstone of the index, or for a Result made from a tombstone of the object store."""
    return result.deleted or (result.sealed and result.state == DELETED)


def _is_settled(result: Result) -> bool:
    in_doubt = result.failure is not None and result.failure.type in _IN_DOUBT
    return result.terminal and not in_doubt


def _is_fresh(result: Result) -> bool:
    if result.ephemeral:
        return True
    if result.terminal:
        return False
    return result.changed_at is not None and time.time() - result.changed_at < STALE_AFTER_S
