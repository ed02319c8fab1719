"""Retries: the back-off policy for idempotent requests to the object store."""

import random
import time
from collections.abc import Iterator

import msgspec


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Args:
        tries: how often a request is sent at most.
        first_s: upper bound of the first pause; it doubles each time.
        longest_s: upper bound of any pause.
        budget_s: no further try begins later than this after the first.
        denied_tries: how often a request is sent that is answered with AccessDenied, which may pass
            (`RequestFailure.denied`).
    """

    tries: int = 6
    first_s: float = 0.1
    longest_s: float = 2.0
    budget_s: float = 10.0
    denied_tries: int = 3

    def pauses(self) -> Iterator[float]:
        """Yield how long to wait before each further try, until tries or time (from this call on) are used up."""
        return self._pauses(time.monotonic() + self.budget_s)

    def _pauses(self, deadline: float) -> Iterator[float]:
        for doubled in range(self.tries - 1):
            pause_s = random.uniform(0, min(self.longest_s, self.first_s * 2**doubled))  # noqa: S311  jitter is no secret
            if time.monotonic() + pause_s > deadline:
                return
            yield pause_s
