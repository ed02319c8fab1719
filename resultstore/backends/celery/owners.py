"""Owners: who owns a task's Result, from the message that starts it to all that it starts itself."""

from typing import Final

from celery import _state

from resultstore.store.attempt import current

HEADER: Final = "resultstore_owner"  # a header of the message, and so an attribute of the request


def owner_of(request: object) -> str:
    """The owner that the message named, by its request, or by the dict that a tracer is given; "" for none."""
    owner = request.get(HEADER) if isinstance(request, dict) else getattr(request, HEADER, None)
    return owner if isinstance(owner, str) else ""


def inherited() -> str:
    """The owner of the task that runs here: what it sends off belongs to the same.

    The next link of a chain, callbacks and a chord's body are sent when the task's body has returned already
    (celery/app/trace.py): then Celery's own stack of running tasks still knows it.
    """
    attempt = current()
    if attempt is not None:
        return attempt.owner
    task = _state.get_current_worker_task()
    return "" if task is None else owner_of(task.request)


def mark_owner(headers: dict[str, object]) -> None:
    """Put the running task's owner into a message that names none."""
    if not headers.get(HEADER) and (owner := inherited()):
        headers[HEADER] = owner
