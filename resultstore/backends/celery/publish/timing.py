"""Timing: the times at which a task was sent and began, for its record."""

import time
from typing import Any, Final

_SENT_AT: Final = "resultstore_sent_at"  # a header of the message, and so an attribute of the request


def mark_sent(headers: dict[str, object]) -> None:
    """Mark a message with the time at which it is sent."""
    headers[_SENT_AT] = time.time()


def sent_at(request: object) -> float | None:
    """Return when the message of a request was sent, in epoch seconds; None if its sender did not mark it."""
    marked = getattr(request, _SENT_AT, None)
    return float(marked) if isinstance(marked, int | float) else None


def mark_begun(task: Any = None, **_: object) -> None:  # noqa: ANN401 - Celery's Task
    """Mark a request with the time at which its body begins (`task_prerun`)."""
    request = task.request
    request.resultstore_began_at = time.time()
    # What a task sees of its headers, and sends again when it is retried, are those that its caller set.
    if isinstance(request.headers, dict) and _SENT_AT in request.headers:
        request.headers = {name: value for name, value in request.headers.items() if name != _SENT_AT} or None
