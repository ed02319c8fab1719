"""Retry: repeats a write while the index is unavailable, for a limited time."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from celery._state import get_current_worker_task

from resultstore.model.errors import IndexUnavailable

MAX_RETRIES: Final = 20
_NAMES: Final = ("max_retries", "interval_start", "interval_step", "interval_max")


def is_worker(request: Any) -> bool:  # noqa: ANN401 - Celery's Context, or None where a client speaks of a task
    """Return whether a worker is writing: no caller waits for it, and no other process has what it writes."""
    if get_current_worker_task() is not None:
        return True
    # Not every request is a Context: a worker makes smaller ones, for a message that it cannot read for example.
    is_elsewhere = getattr(request, "called_directly", False) or getattr(request, "is_eager", False)
    return request is not None and not is_elsewhere


def with_retries(write: Callable[[], bool], *, policy: Mapping[str, float | None]) -> bool:
    """Call `write`, and again while it raises IndexUnavailable; return its result.

    Args:
        write: idempotent.
        policy: Celery's `retry_policy`: `max_retries` (None: 20), and in seconds `interval_start`, `interval_step` and
            `interval_max`. Each pause is shortened by up to half at random, so that workers do not return together.
    """
    retries, start_s, step_s, longest_s = (policy.get(name) for name in _NAMES)
    pause_s = start_s or 0.0
    for _ in range(MAX_RETRIES if retries is None else int(retries)):
        try:
            return write()
        except IndexUnavailable:
            time.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret
            pause_s = min(1.0 if longest_s is None else longest_s, pause_s + (step_s or 0.0))
    return write()
