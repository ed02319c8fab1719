"""Ending: how one attempt ended, handed from the middleware that saw it to the backend that writes it down."""

from contextvars import ContextVar
from typing import Any

import msgspec
from taskiq import TaskiqResult

from resultstore.model.result import Result
from resultstore.store.attempt import Attempt

# taskiq's `set_result` is told the id and the result alone. Both calls are made by one task of the event loop.
_last: ContextVar["AttemptOutcome | None"] = ContextVar("resultstore_taskiq_ending", default=None)


class AttemptOutcome(msgspec.Struct, frozen=True):
    """One attempt's end.

    Args:
        result: taskiq's own word for it.
        attempt: what ran.
        record: the outcome, sealed where it must be; None when it failed.
    """

    result: "TaskiqResult[Any]"
    attempt: Attempt
    record: Result | None


def hand_over(ending: AttemptOutcome) -> None:
    """Tell the `set_result` that follows."""
    _last.set(ending)


def of(result: "TaskiqResult[Any]") -> AttemptOutcome | None:
    """What was handed over about this very `result`."""
    ending = _last.get()
    return ending if ending is not None and ending.result is result else None
