"""Patience: writes again while the index is away, for a finite time."""

import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from resultstore.model.errors import IndexUnavailable

MAX_RETRIES: Final = 20
_NAMES: Final = ("max_retries", "interval_start", "interval_step", "interval_max")


def patiently(write: Callable[[], bool], *, policy: Mapping[str, float | None]) -> bool:
    """Call `write`, and again while it raises IndexUnavailable; what it gives.

    Args:
        write: idempotent.
        policy: Celery's `retry_policy`: `max_retries` (None: 20), and in seconds `interval_start`, `interval_step` and
            `interval_max`; each pause is cut by a random half at most, so that many workers do not return at once.
    """
    retries, start_s, step_s, longest_s = (policy.get(name) for name in _NAMES)
    pause_s = start_s or 0.0
    for _ in range(MAX_RETRIES if retries is None else int(retries)):
        try:
            return write()
        except IndexUnavailable:
            time.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret
            pause_s = min(longest_s or 1.0, pause_s + (step_s or 0.0))
    return write()
