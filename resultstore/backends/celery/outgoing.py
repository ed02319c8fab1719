"""Outgoing: calls what marks or notes each message before it is sent."""

from collections.abc import Callable

from celery.signals import before_task_publish

Headers = dict[str, object]


class Outgoing:
    """One receiver of Celery's signal for all of these: each further receiver costs a task's sender some 10 us.

    For as long as this object lives: Celery's signals hold it weakly.

    Args:
        steps: called in this order with the message's headers, which they may change; they raise nothing.
        last: called behind them with the headers and the body.
    """

    def __init__(self, *steps: Callable[[Headers], None], last: Callable[[Headers, object], None]) -> None:
        self._steps = steps
        self._last = last
        before_task_publish.connect(self._sent, weak=True)

    def _sent(self, headers: Headers | None = None, body: object = None, **_: object) -> None:
        if headers is None:
            return
        for step in self._steps:
            step(headers)
        self._last(headers, body)
