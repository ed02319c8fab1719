"""Owners: who owns a task's Result, from the message that starts it to all that it starts itself."""

from celery import _state

from resultstore.model.headers import OWNER_HEADER, owner_in, set_default_owner
from resultstore.store.attempt import current


def owner_of(request: object) -> str:
    """Return the owner that a request names, or the dict that a tracer is given; "" for none."""
    # A header of the message is an attribute of its request.
    return owner_in(request if isinstance(request, dict) else {OWNER_HEADER: getattr(request, OWNER_HEADER, None)})


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
    set_default_owner(headers, inherited())
