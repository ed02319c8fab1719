"""Quotas: how much one owner may have at a time."""

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
SEEDED_S: Final = layout.DAY_S  # counting reads every record of the owner: not for each ticket
COUNTED_MAX: Final = 10_000  # as many as an owner's list holds


class QuotaKind(StrEnum):
    """What is counted."""

    TICKETS = "tickets"  # uploads that were begun and not completed
    RUNNING = "running"  # work that was dispatched and has not ended
    STREAMS = "streams"  # open event streams


class Quotas:
    """Counts by owner, in the index, so that several gateways count together.

    Args:
        index: where it is counted, and where the owner's Results are listed.
        settings: the limits (`quota_*`).
        counting: counts the bytes; that of the Store, where there is one.
    """

    def __init__(self, index: Index, settings: Settings, *, counting: ByteCounter | None = None) -> None:
        self._index = index
        self._leases = Leases(index)
        self._counting = counting or ByteCounter(index)
        self._stored_most_bytes = settings.quotas.stored_bytes
        self._most = {
            QuotaKind.TICKETS: settings.quotas.tickets,
            QuotaKind.RUNNING: settings.quotas.running,
            QuotaKind.STREAMS: settings.quotas.streams,
        }

    def take(self, kind: QuotaKind, owner: str, member: str, *, ttl_s: float) -> None:
        """Count `member` (a Result's id, or a name for a stream) for `ttl_s`, or until `leave`.

        Taking again is no second one, and makes it last: streams do so at each heartbeat. Raises Problem 429 `quota`.
        """
        key, most = layout.quota_key(owner, kind), self._most[kind]
        for _ in range(2):
            if self._leases.take(key, member, ttl_s=ttl_s, most=most):
                return
            if kind is QuotaKind.STREAMS or not self._swept(key):
                break
        raise _over(f"one owner may have {most} {kind} at a time")

    def leave(self, kind: QuotaKind, owner: str, member: str) -> None:
        """Count it no longer. Work that has ended need not say so: it is found out when the places run short."""
        self._leases.release(layout.quota_key(owner, kind), member)

    def take_room(self, owner: str, member: str, *, size_bytes: int, ttl_s: float) -> None:
        """Count bytes that an upload or a piece of work will bring within `ttl_s`, until its Result counts its own.

        Taking again is no second one. Raises Problem 429 `quota` when there is no room; then nothing was counted.
        """
        self._seed(owner)
        room, most_bytes = self._counting.room, self._stored_most_bytes
        if not room.reserve(owner, member, size_bytes=size_bytes, ttl_s=ttl_s, most_bytes=most_bytes):
            raise _over(f"this would be more than the {most_bytes} bytes that one owner may store")

    def leave_room(self, owner: str, member: str) -> None:
        """Count no bytes of it any more that might come."""
        self._counting.room.drop_reservation(owner, member)

    def stored_bytes(self, owner: str) -> int:
        """What the owner's Artifacts take, with what open uploads and running work will bring."""
        self._seed(owner)
        return self._counting.room.total_bytes(owner)

    def _seed(self, owner: str) -> None:
        """Count what the index lists: what was stored before it was counted, or before the index was lost."""
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

    def _swept(self, key: str) -> bool:
        """Let go of what has ended meanwhile; whether anything had."""
        ended = [
            one for one in self._leases.members(key) if (seen := self._index.peek(one)) is not None and seen.terminal
        ]
        for one in ended:
            self._leases.release(key, one)
        return bool(ended)


def _over(why: str) -> Problem:
    detail = f"{why}: wait until some of it has ended, or delete what is not needed"
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "quota", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
