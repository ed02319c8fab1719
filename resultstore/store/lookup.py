"""Lookup: finds an id by the rules of docs/format.md: its record first, its seal where the record is no answer."""

import math
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock

from resultstore.index.index import Index, LoadsMany, Over
from resultstore.logs import Log
from resultstore.model.errors import (
    BadReference,
    BlobStoreUnavailable,
    CommitUnknown,
    Damaged,
    IndexUnavailable,
    Refused,
    ResultStoreError,
)
from resultstore.model.result import Result
from resultstore.model.seal import DELETED
from resultstore.settings import Settings
from resultstore.store.sealing import Seals
from resultstore.store.trust import Trust

_log = Log(__name__)

STALE_AFTER_S = 30.0  # a record that is not terminal and has not changed for this long is no answer
MISS_FIRST_S = 2.0
MISS_LONGEST_S = 60.0
MISSES_KEPT = 10_000
SEALS_AT_ONCE = 8


class Lookup:
    """Finds Results.

    Args:
        index: the fast and disposable records.
        seals: the durable ones; None where there is no object store.
        trust: tells whether a record's Artifacts were made by us.
        settings: how long a record lives that was put back from its seal, and how large its value may be.
    """

    def __init__(self, index: Index, seals: Seals | None, trust: Trust, *, settings: Settings) -> None:
        self._index = index
        self._seals = seals
        self._trust = trust
        self._settings = settings
        self._misses = _Misses()

    def find(self, result_id: str) -> Result | None:
        """The Result with everything that lies beside its record, or None when the id is unknown.

        A record with Artifacts that we did not make for it is no record; where no seal tells better: BadReference.
        """
        return self._found(self._index.load, result_id)

    def poll(self, result_id: str) -> Result | None:
        """The same rules over the small record alone: a state poll never reads a value."""
        return self._found(self._index.peek, result_id)

    def _found(self, ask: Callable[[str], Result | None], result_id: str) -> Result | None:
        try:
            result = ask(result_id)
        except IndexUnavailable:
            # What is sealed survives the loss of Redis; what is not, nobody else can know.
            sealed = self._from_seal(result_id)
            if sealed is None:
                raise
            return _unless_deleted(sealed)
        if result is not None and not self._trust.vouches(result):
            return self._told_by_seal(result_id)
        if result is not None and (_is_settled(result) or _is_fresh(result)):
            return result
        return self._sealed_or(result, result_id)

    def _told_by_seal(self, result_id: str) -> Result | None:
        _log.warning("record_not_ours", id=result_id)
        sealed = self._from_seal(result_id)
        if sealed is None:
            raise BadReference(
                f"the record of {result_id} names artifacts that this store did not make for it: delete {result_id}"
            )
        return _unless_deleted(sealed)

    def find_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """`find` for each id, the records in one round trip; seals are asked for a few of them at a time only.

        So a poll of a thousand ids of running work is not a thousand requests to the object store; whoever polls
        again gets the next few.
        """
        return self._found_many(result_ids, self._load_many(result_ids))

    def poll_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """The same over the small records alone."""
        index = self._index
        peeked = index.peek_many(result_ids) if isinstance(index, LoadsMany) else list(map(index.peek, result_ids))
        return self._found_many(result_ids, peeked)

    def _found_many(self, result_ids: Sequence[str], results: list[Result | None]) -> list[Result | None]:
        asked = 0
        for at, (result_id, result) in enumerate(zip(result_ids, results, strict=True)):
            if result is not None and not self._trust.vouches(result):
                _log.warning("record_not_ours", id=result_id)
                result = results[at] = None  # noqa: PLW2901 - from here on there is no record
            if result is not None and (_is_settled(result) or _is_fresh(result)):
                continue
            if self._seals is not None and asked < SEALS_AT_ONCE and not self._misses.known(result_id):
                asked += 1
                results[at] = self._one_of_many(result, result_id)
        return results

    def known_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """The records that are an answer by themselves, in one round trip; None where the seal is to be asked."""
        results = self._load_many(result_ids)
        return [one if one is not None and self._answers(one) else None for one in results]

    def _answers(self, result: Result) -> bool:
        return (_is_settled(result) or _is_fresh(result)) and self._trust.vouches(result)

    def _load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        if isinstance(self._index, LoadsMany):
            return self._index.load_many(result_ids)
        return [self._index.load(one) for one in result_ids]

    def _one_of_many(self, result: Result | None, result_id: str) -> Result | None:
        """`_sealed_or`; the record as it is where the seal cannot be read: the other ids are answered all the same."""
        try:
            return self._sealed_or(result, result_id)
        except (Damaged, Refused, BlobStoreUnavailable) as error:
            _log.warning("seal_not_read", id=result_id, error=str(error))
            return result

    def restore(self, result_id: str) -> bool:
        """Put the record of a sealed success back; whether there is one. A store that is away cannot tell: False."""
        try:
            sealed = self._from_seal(result_id)
        except ResultStoreError as error:
            _log.warning("seal_not_read", id=result_id, error=str(error))
            return False
        if sealed is None or sealed.state == DELETED:
            return False
        self._restore(sealed, over=Over.UNFINISHED)
        return True

    def _sealed_or(self, result: Result | None, result_id: str) -> Result | None:
        if self._seals is None or self._misses.known(result_id):
            return result
        sealed = self._from_seal(result_id)
        if sealed is None or (result is None and sealed.state == DELETED):
            self._misses.remember(result_id)
            return result
        # A failure that could not tell whether it had sealed is the one terminal state that a seal corrects.
        self._restore(sealed, over=Over.ANYTHING if result is not None and result.terminal else Over.UNFINISHED)
        return _unless_deleted(sealed)

    def _from_seal(self, result_id: str) -> Result | None:
        seal = None if self._seals is None else self._seals.read(result_id)
        return None if seal is None else seal.result()

    def _restore(self, sealed: Result, *, over: Over) -> None:
        left_s = math.inf if sealed.expires_at is None else sealed.expires_at - time.time()
        if sealed.state == DELETED or left_s < 1:
            return
        if sealed.value is not None and len(sealed.value) > self._settings.inline_max_bytes:
            sealed = sealed.moved(sealed.state, value=None)  # as at first: `Store.value` finds it in the seal
        try:
            self._index.save(sealed, ttl_s=int(min(left_s, self._settings.result_expires_s)), over=over)
        except IndexUnavailable as error:
            _log.warning("record_not_restored", id=sealed.id, error=str(error))


class _Misses:
    """Ids that were lately not found, each remembered for 2, 4, ... 60 s with jitter, in this process only."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def known(self, result_id: str) -> bool:
        until, _ = self._until.get(result_id, (0.0, 0.0))
        return time.monotonic() < until

    def remember(self, result_id: str) -> None:
        with self._lock:
            _, last_s = self._until.pop(result_id, (0.0, MISS_FIRST_S / 2))
            length_s = min(MISS_LONGEST_S, last_s * 2)
            jittered_s = length_s * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, no secret
            self._until[result_id] = (time.monotonic() + jittered_s, length_s)
            while len(self._until) > MISSES_KEPT:
                self._until.popitem(last=False)


def _unless_deleted(result: Result) -> Result | None:
    return None if result.state == DELETED else result


def _is_settled(result: Result) -> bool:
    in_doubt = result.failure is not None and result.failure.type == CommitUnknown.__name__
    return result.terminal and not in_doubt


def _is_fresh(result: Result) -> bool:
    if result.ephemeral:
        return True
    if result.terminal:
        return False
    return result.changed_at is not None and time.time() - result.changed_at < STALE_AFTER_S
