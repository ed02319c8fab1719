"""Index: holds Results by id and announces each change."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol, runtime_checkable

from resultstore.model.event import Event
from resultstore.model.result import Result


class Over(StrEnum):
    """What a save may replace. SUCCESS is never replaced, whatever is asked for."""

    ANYTHING = "anything"  # a transition: over everything but SUCCESS
    UNFINISHED = "unfinished"  # putting a sealed Result back: over nothing or a non-terminal state
    NOTHING = "nothing"  # announcing work at dispatch: only where no record stands


class Watch(Protocol):
    """An open subscription to the changes of one id. Subscribed once the `with` block is entered."""

    def wait(self, timeout_s: float) -> Event | None:
        """The next Event, or None when none came in `timeout_s`.

        A lost connection is restored inside and answers None at once: the caller checks again.
        """


@runtime_checkable
class Index(Protocol):
    """Results by id, each transition atomic. Raises IndexUnavailable when the server cannot be reached."""

    def peek(self, result_id: str) -> Result | None:
        """The small record alone: state, progress, times, a small value; what lies beside it is left at its default."""

    def load(self, result_id: str) -> Result | None:
        """The record with what lies beside it (larger values, Artifacts, traceback, extra) in one round trip."""

    def save(self, result: Result, *, ttl_s: int | None, over: Over = Over.ANYTHING) -> bool:
        """Write the record if `over` allows, let it expire after `ttl_s`, and announce it. Whether it was written.

        Idempotent: the same save twice leaves what one leaves, and counts as written both times; only `Over.NOTHING`
        answers the first alone.
        """

    def delete(self, result_id: str) -> None:
        """Remove the record and what lies beside it; no error when there is none."""

    def watch(self, result_id: str) -> AbstractContextManager[Watch]:
        """Subscribe to an id; the channel is gone when the block is left."""


@runtime_checkable
class Lists(Protocol):
    """The further power of saying which ids there are."""

    def ids(self, *, owner: str | None = None, limit: int = 100) -> Iterator[str]:
        """Up to `limit` ids, newest first where an owner is named, else in any order."""
