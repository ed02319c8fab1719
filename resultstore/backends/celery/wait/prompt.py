"""PromptConsumer: Celery's own consumer of results, without its pauses."""

import socket
from collections.abc import Callable, Iterator
from time import sleep
from typing import Any

from celery import states
from celery.backends.asynchronous import BaseResultConsumer, greenletDrainer
from celery.exceptions import TimeoutError as CeleryTimeoutError

from resultstore.backends.celery.wait.pending_results import Meta


class PromptConsumer(BaseResultConsumer):
    """Delivers each outcome to its waiters, and continues at once.

    Celery calls `sleep(0)` after each event and each result, so that other threads can run. On Linux that takes 80 us
    (Python 3.11), three times for one small result. A thread that waits for a socket lets others run anyway. Greenlets
    keep the pause: nothing else lets the others run.
    """

    on_message: Callable[[Meta], object] | None

    def on_state_change(self, meta: Meta, message: object) -> None:  # noqa: ARG002 - Celery's signature
        """Deliver a state to the results that wait for it; buffer a ready one without a waiter."""
        if self.on_message:
            self.on_message(meta)
        if meta["status"] in states.READY_STATES:
            self._deliver(meta)
        self._yield_to_greenlets()

    def _deliver(self, meta: Meta) -> None:
        for result in self.backend.pending.deliver(meta):
            bucket = self.buckets.pop(result, None)
            if bucket is not None:  # of `iter_native`
                bucket.append(result)

    def _wait_for_pending(
        self,
        result: Any,  # noqa: ANN401 - Celery's AsyncResult or ResultSet
        timeout: float | None = None,
        on_interval: Callable[[], object] | None = None,
        on_message: Callable[[Meta], object] | None = None,
        **kwargs: object,
    ) -> Iterator[None]:
        """Yield at each event until `result` is ready. Raises celery.exceptions.TimeoutError."""
        self.on_wait_for_pending(result, timeout=timeout, **kwargs)
        previous, self.on_message = self.on_message, on_message
        try:
            for _ in self.drain_events_until(result.on_ready, timeout=timeout, on_interval=on_interval):
                yield
                self._yield_to_greenlets()
        except socket.timeout as error:  # noqa: UP041 - as Celery's drainers raise it
            raise CeleryTimeoutError("The operation timed out.") from error
        finally:
            self.on_message = previous

    def _yield_to_greenlets(self) -> None:
        if isinstance(self.drainer, greenletDrainer):
            sleep(0)
