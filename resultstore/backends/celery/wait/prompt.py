"""Prompt: Celery's own consumer of results, without the pauses that it makes."""

import socket
from collections.abc import Callable, Iterator
from time import sleep
from typing import Any

from celery import states
from celery.backends.asynchronous import BaseResultConsumer, greenletDrainer
from celery.exceptions import TimeoutError as CeleryTimeoutError

Meta = dict[str, Any]  # Celery's own word and shape for what a backend stores of a task


class PromptConsumer(BaseResultConsumer):
    """Tells whoever waits, and goes on at once.

    Celery sleeps for no time (`sleep(0)`) after each event and each result, so that others get their turn. Under Linux
    that takes 80 µs (Python 3.11), three times for one small result; and a thread that waits for a socket gives others
    their turn anyway. Greenlets keep the pause: they have no other turns.
    """

    on_message: Callable[[Meta], object] | None

    def on_state_change(self, meta: Meta, message: object) -> None:  # noqa: ARG002 - Celery's signature
        """Give a state to the results that wait for it; a ready one that none waits for is put by."""
        if self.on_message:
            self.on_message(meta)
        if meta["status"] in states.READY_STATES:
            self._hand_out(meta)
        self._give_turn()

    def _hand_out(self, meta: Meta) -> None:
        waiting = [one for mapping in self._pending_results for one in list(mapping.get(meta["task_id"], {}).values())]
        if not waiting:
            self._pending_messages.put(meta["task_id"], meta)
        for result in waiting:
            result._maybe_set_cache(meta)  # noqa: SLF001 - as Celery's consumer does
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
                self._give_turn()
        except socket.timeout as error:  # noqa: UP041 - as Celery's drainers raise it
            raise CeleryTimeoutError("The operation timed out.") from error
        finally:
            self.on_message = previous

    def _give_turn(self) -> None:
        if isinstance(self.drainer, greenletDrainer):
            sleep(0)
