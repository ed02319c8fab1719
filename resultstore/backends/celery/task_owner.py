"""Owners: finds the owner of a task's Result, and passes it to the tasks that it starts."""

from celery import _state

from resultstore.model.headers import OWNER_HEADER, owner_in, set_default_owner
from resultstore.store.attempt import current


def owner_of(request: object) -> str:
    """Return the owner that a request names, or the dict that a tracer is given; "" for none."""
    if isinstance(request, dict):
        return owner_in(request)
    # A header of the message is an attribute of its request; in a batch, an entry of the request's `request_dict`.
    owner = getattr(request, OWNER_HEADER, None)
    headers = {OWNER_HEADER: owner} if owner is not None else getattr(request, "request_dict", None)
    return owner_in(headers) if isinstance(headers, dict) else ""


def current_owner() -> str:
    """Return the owner of the task in this thread: the tasks that it sends belong to the same owner.

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
    set_default_owner(headers, current_owner())
