"""AttemptOutcome: how one attempt ended, passed from the middleware that saw it to the backend that stores it."""

from contextvars import ContextVar
from typing import Any

import msgspec
from taskiq import TaskiqResult

from resultstore.model.result import Result
from resultstore.store.attempt import Attempt

# taskiq calls `set_result` with the id and the result alone. The same task of the event loop has called the middleware.
_last: ContextVar["AttemptOutcome | None"] = ContextVar("resultstore_taskiq_outcome", default=None)


class AttemptOutcome(msgspec.Struct, frozen=True):
    """How one attempt ended.

    Args:
        result: what taskiq made of it.
        attempt: the attempt itself.
        record: the Result to store, sealed where needed; None when the attempt failed.
    """

    result: "TaskiqResult[Any]"
    attempt: Attempt
    record: Result | None


def hand_over(outcome: AttemptOutcome) -> None:
    """Keep `outcome` for the call of `set_result` that follows."""
    _last.set(outcome)


def outcome_of(result: "TaskiqResult[Any]") -> AttemptOutcome | None:
    """Return the outcome that was handed over for this very `result`."""
    outcome = _last.get()
    return outcome if outcome is not None and outcome.result is result else None
