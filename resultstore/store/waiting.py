"""wait_for(): waits for a Result; a lost announcement delays it until the next check and never blocks it."""

import random
import time
from collections.abc import Callable

from resultstore.index.index import Index
from resultstore.model.errors import ResultDeleted, Unavailable
from resultstore.model.result import Result

RECHECK_S = 2.0
UNAVAILABLE_LIMIT_S = 30.0  # a server that stays unavailable for longer is reported to the caller


def wait_for(
    index: Index,
    find: Callable[[str], Result | None],
    result_id: str,
    *,
    timeout_s: float | None,
    deleted: Callable[[str], bool],
) -> Result:
    """Wait until the state of `result_id` is terminal, and return the Result.

    Subscribes, checks, then waits. All three are repeated after the index or the object store was unavailable.
    Raises TimeoutError after `timeout_s`, ResultDeleted if the id was deleted, and Unavailable if a server stays
    unavailable for `UNAVAILABLE_LIMIT_S`.
    """
    end = None if timeout_s is None else time.monotonic() + timeout_s
    give_up_at = time.monotonic() + UNAVAILABLE_LIMIT_S
    while True:
        try:
            with index.events.watch(result_id) as watch:
                while True:
                    found = find(result_id)
                    if found is not None and found.terminal:
                        return found
                    if found is None and deleted(result_id):
                        raise ResultDeleted.of(result_id)
                    give_up_at = time.monotonic() + UNAVAILABLE_LIMIT_S
                    watch.wait(_pause_s(end, result_id))
        except Unavailable:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(min(_pause_s(end, result_id), random.uniform(0.05, 0.3)))  # noqa: S311 - jitter, no secret


def _pause_s(end: float | None, result_id: str) -> float:
    """Return how long to wait for an announcement: until a jittered re-check, or `end` if that is sooner."""
    pause_s = RECHECK_S * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret
    if end is None:
        return pause_s
    left_s = end - time.monotonic()
    if left_s <= 0:
        raise TimeoutError(f"result {result_id} was not ready in time: use a longer timeout, or look it up later")
    return min(pause_s, left_s)
