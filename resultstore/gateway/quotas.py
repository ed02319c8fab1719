"""Quotas: limits per owner on open uploads, running tasks, open streams and stored bytes."""

from enum import StrEnum
from http import HTTPStatus
from typing import Final

from resultstore.gateway.problems import Problem
from resultstore.index.index import Index
from resultstore.index.leases import Leases
from resultstore.model import layout
from resultstore.model.result import Result
from resultstore.settings import Settings
from resultstore.store.byte_count import ByteCounter

RETRY_AFTER_S: Final = 30
SEEDED: Final = "seeded"
SEEDED_S: Final = layout.DAY_S  # seeding reads every record of the owner, so it happens once a day
COUNTED_MAX: Final = 10_000  # the length of an owner's list


class QuotaKind(StrEnum):
    """What a quota counts."""

    TICKETS = "tickets"  # uploads that have not been completed
    RUNNING = "running"  # dispatched tasks that have not ended
    STREAMS = "streams"  # open event streams


class Quotas:
    """Counts by owner, in the index, so that several gateways share the counts.

    Args:
        index: holds the counts and the owners' lists.
        settings: the limits (`quota_*`).
        counting: the byte counter of the Store; a new one by default.
    """

    def __init__(self, index: Index, settings: Settings, *, counting: ByteCounter | None = None) -> None:
        self._index = index
        self._leases = Leases(index)
        self._counting = counting or ByteCounter(index)
        self._stored_max_bytes = settings.quotas.stored_bytes
        self._limits = {
            QuotaKind.TICKETS: settings.quotas.tickets,
            QuotaKind.RUNNING: settings.quotas.running,
            QuotaKind.STREAMS: settings.quotas.streams,
        }

    def take(self, kind: QuotaKind, owner: str, member: str, *, ttl_s: float) -> None:
        """Count `member` (a Result's id or a stream's name) until `leave`, at most for `ttl_s`.

        A repeated call renews the lease and does not count twice. Raises Problem 429 `quota`.
        """
        key, limit = layout.quota_key(owner, kind), self._limits[kind]
        for _ in range(2):
            if self._leases.take(key, member, ttl_s=ttl_s, most=limit):
                return
            if kind is QuotaKind.STREAMS or not self._release_ended(key):
                break
        raise _quota_problem(f"the limit of {limit} {kind} per owner is reached")

    def leave(self, kind: QuotaKind, owner: str, member: str) -> None:
        """Stop counting `member`. Ended tasks are also released when the quota runs out."""
        self._leases.release(layout.quota_key(owner, kind), member)

    def reserve_bytes(self, owner: str, member: str, *, size_bytes: int, ttl_s: float) -> None:
        """Reserve the bytes that an upload or a task will store within `ttl_s`, until its Result is counted instead.

        A repeated call does not count twice. Raises Problem 429 `quota` when they do not fit; then nothing is reserved.
        """
        self._seed(owner)
        reserved, max_bytes = self._counting.owner_bytes, self._stored_max_bytes
        if not reserved.reserve(owner, member, size_bytes=size_bytes, ttl_s=ttl_s, most_bytes=max_bytes):
            raise _quota_problem(f"the limit of {max_bytes} stored bytes per owner would be exceeded")

    def release_bytes(self, owner: str, member: str) -> None:
        """Release the reserved bytes of `member`."""
        self._counting.owner_bytes.drop_reservation(owner, member)

    def stored_bytes(self, owner: str) -> int:
        """Return the bytes of the owner's Artifacts, plus those reserved for open uploads and running tasks."""
        self._seed(owner)
        return self._counting.owner_bytes.total_bytes(owner)

    def _seed(self, owner: str) -> None:
        """Count the Results in the owner's list, which may be older than the counter (after the loss of the index)."""
        key = layout.quota_key(owner, SEEDED)
        if self._index.keys.read(key) is not None:
            return
        for result in self._owned(owner):
            if result.owner == owner and result.artifacts:
                self._counting.count(result)
        self._index.keys.keep(key, b"1", ttl_s=SEEDED_S)

    def _owned(self, owner: str) -> list[Result]:
        ids = list(self._index.listing.ids(owner=owner, limit=COUNTED_MAX))
        return [one for one in self._index.listing.load_many(ids) if one is not None]

    def _release_ended(self, key: str) -> bool:
        """Stop counting members whose Results have ended; return True if there were any."""
        ended = [
            one for one in self._leases.members(key) if (seen := self._index.peek(one)) is not None and seen.terminal
        ]
        for one in ended:
            self._leases.release(key, one)
        return bool(ended)


def _quota_problem(why: str) -> Problem:
    detail = f"{why}: wait until something has ended, or delete what you do not need"
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "quota", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
