"""Quotas: how much one owner may have at a time."""

from enum import StrEnum
from http import HTTPStatus
from typing import Final

from resultstore.gateway.problems import Problem
from resultstore.index.index import Index, Keeps, Lists, LoadsMany
from resultstore.index.leases import Leases
from resultstore.model import layout
from resultstore.model.result import Result
from resultstore.settings import Settings
from resultstore.uploads.ticket import is_refused

RETRY_AFTER_S: Final = 30
STORED_KNOWN_S: Final = 60  # counting reads every record of the owner: not for each ticket
STORED: Final = "stored"
COUNTED_MAX: Final = 10_000  # as many as an owner's list holds


class Kind(StrEnum):
    """What is counted."""

    TICKETS = "tickets"  # uploads that were begun and not completed
    RUNNING = "running"  # work that was dispatched and has not ended
    STREAMS = "streams"  # open event streams


class Quotas:
    """Counts by owner, in the index, so that several gateways count together.

    Args:
        index: where it is counted, and where the owner's Results are listed.
        settings: the limits (`quota_*`).
    """

    def __init__(self, index: Index, settings: Settings) -> None:
        self._index = index
        self._leases = Leases(index)
        self._stored_most_bytes = settings.quota_stored_bytes
        self._most = {
            Kind.TICKETS: settings.quota_tickets,
            Kind.RUNNING: settings.quota_running,
            Kind.STREAMS: settings.quota_streams,
        }

    def take(self, kind: Kind, owner: str, member: str, *, ttl_s: float, size_bytes: int = 0) -> None:
        """Count `member` (a Result's id, or a name for a stream) for `ttl_s`, or until `leave`.

        Taking again is no second one, and makes it last: streams do so at each heartbeat. `size_bytes` counts as
        stored: what an upload will bring, until its Result lists it. Raises Problem 429 `quota`.
        """
        if size_bytes:
            self._check_room(owner, member, size_bytes=size_bytes)
        key, most = layout.quota_key(owner, kind), self._most[kind]
        for _ in range(2):
            if self._leases.take(key, member, ttl_s=ttl_s, most=most, weight=size_bytes):
                return
            if kind is Kind.STREAMS or not self._swept(key):
                break
        raise _over(f"one owner may have {most} {kind} at a time")

    def leave(self, kind: Kind, owner: str, member: str) -> None:
        """Count it no longer. Work that has ended need not say so: it is found out when the places run short."""
        self._leases.leave(layout.quota_key(owner, kind), member)

    def stored_bytes(self, owner: str) -> int:
        """What the owner's Artifacts take (known for a minute), with what open uploads and running work will bring."""
        return self._counted(owner) + sum(self._coming(owner).values())

    def recount(self, owner: str) -> None:
        """Count what is stored anew: something of it was deleted."""
        if isinstance(self._index, Keeps):
            self._index.drop(layout.quota_key(owner, STORED))

    def _check_room(self, owner: str, member: str, *, size_bytes: int) -> None:
        coming = self._coming(owner)
        others = self._counted(owner) + sum(coming.values()) - coming.get(member, 0)
        if others + size_bytes > self._stored_most_bytes:
            raise _over(f"this would be more than the {self._stored_most_bytes} bytes that one owner may store")

    def _coming(self, owner: str) -> dict[str, int]:
        """What each open upload and each running piece of work will bring; one that is both counts once."""
        held = [self._leases.held(layout.quota_key(owner, one)) for one in (Kind.TICKETS, Kind.RUNNING)]
        return {**held[0], **held[1]}

    def _counted(self, owner: str) -> int:
        key = layout.quota_key(owner, STORED)
        known = self._index.kept(key) if isinstance(self._index, Keeps) else None
        if known is not None and known.isdigit():  # anything else was not written by us
            return int(known)
        kept = (result for result in self._owned(owner) if not is_refused(result))
        size_bytes = sum(one.stored_bytes for result in kept for one in result.artifacts)
        if isinstance(self._index, Keeps):
            self._index.keep(key, b"%d" % size_bytes, ttl_s=STORED_KNOWN_S)
        return size_bytes

    def _owned(self, owner: str) -> list[Result]:
        if not isinstance(self._index, Lists) or not isinstance(self._index, LoadsMany):
            return []
        ids = list(self._index.ids(owner=owner, limit=COUNTED_MAX))
        return [one for one in self._index.load_many(ids) if one is not None]

    def _swept(self, key: str) -> bool:
        """Let go of what has ended meanwhile; whether anything had."""
        ended = [one for one in self._leases.held(key) if (seen := self._index.peek(one)) is not None and seen.terminal]
        for one in ended:
            self._leases.leave(key, one)
        return bool(ended)


def _over(why: str) -> Problem:
    detail = f"{why}: wait until some of it has ended, or delete what is not needed"
    return Problem(HTTPStatus.TOO_MANY_REQUESTS, "quota", detail, headers={"Retry-After": str(RETRY_AFTER_S)})
