"""Waiting: subscribe, check, wait; so a lost announcement costs one slow check and never a hang."""

import random
import time
from collections.abc import Callable

from resultstore.index.index import Index
from resultstore.model.errors import ResultDeleted, Unavailable
from resultstore.model.result import Result

RECHECK_S = 2.0
PATIENCE_S = 30.0  # how long a server that is away is waited for before the waiter is told


def wait_for(
    index: Index,
    find: Callable[[str], Result | None],
    result_id: str,
    *,
    timeout_s: float | None,
    deleted: Callable[[str], bool],
) -> Result:
    """The Result of `result_id` once its state is terminal.

    Subscribes, checks, waits; and all three again after the index or the object store was away.
    Raises TimeoutError after `timeout_s`, ResultDeleted when it was `deleted`, Unavailable when one of the servers
    stays away for `PATIENCE_S`.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    patient_until = time.monotonic() + PATIENCE_S
    while True:
        try:
            with index.events.watch(result_id) as watch:
                while True:
                    found = find(result_id)
                    if found is not None and found.terminal:
                        return found
                    if found is None and deleted(result_id):
                        raise ResultDeleted.of(result_id)
                    patient_until = time.monotonic() + PATIENCE_S
                    watch.wait(_pause_s(end, result_id))
        except Unavailable:
            if time.monotonic() > patient_until:
                raise
            time.sleep(min(_pause_s(end, result_id), random.uniform(0.05, 0.3)))  # noqa: S311 - jitter, no secret


def _pause_s(end: float | None, result_id: str) -> float:
    """How long to wait for an announcement: until a jittered re-check, or the end if that is sooner."""
    pause_s = RECHECK_S * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret
    if end is None:
        return pause_s
    left_s = end - time.monotonic()
    if left_s <= 0:
        raise TimeoutError(f"result {result_id} was not ready in time: wait longer, or look it up later")
    return min(pause_s, left_s)
