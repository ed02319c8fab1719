"""Timing: when a task was sent and when it began, for its record."""

import time
from typing import Any, Final

from celery.signals import task_prerun

_SENT_AT: Final = "resultstore_sent_at"  # a header of the message, and so an attribute of the request


def mark_sent(headers: dict[str, object]) -> None:
    """Mark a message with the time it is sent."""
    headers[_SENT_AT] = time.time()


class StartTimer:
    """Marks each request with the time its body begins.

    For as long as this object lives: Celery's signals hold it weakly.
    """

    def __init__(self) -> None:
        task_prerun.connect(self._begun, weak=True)

    def _begun(self, task: Any = None, **_: object) -> None:  # noqa: ANN401 - Celery's Task
        request = task.request
        request.resultstore_began_at = time.time()
        # What a task sees of its headers, and hands on when it is retried, are those that its caller gave.
        if isinstance(request.headers, dict) and _SENT_AT in request.headers:
            request.headers = {name: value for name, value in request.headers.items() if name != _SENT_AT} or None
