"""Return value: the value that hooks and signals see, and the reference that is sent and stored in its place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from celery import Task
from celery._state import get_current_worker_task

from resultstore.backends.celery.capture.observers import watches_end
from resultstore.backends.celery.task_owner import owner_of
from resultstore.model.errors import ResultStoreError
from resultstore.model.spill import Spill
from resultstore.telemetry.logs import Log

_log = Log(__name__)

_RETURNED: Final = "resultstore_returned"  # an attribute of the request


class SpilledReturn(NamedTuple):
    """A value, and the reference that travels in its place."""

    spill: Spill
    value: object


def remember_value(request: Any, spill: Spill, value: object) -> None:  # noqa: ANN401 - Celery's Context
    """Note, until the outcome is stored, that `spill` travels in place of `value`."""
    setattr(request, _RETURNED, SpilledReturn(spill, value))


def current_return() -> SpilledReturn | None:
    """Return what the task in this thread has returned, while its callbacks are sent and its outcome is stored."""
    task = get_current_worker_task()
    return None if task is None else getattr(task.request, _RETURNED, None)


def value_for_tracer(task: Task, request: Any, travels: object) -> object:  # noqa: ANN401 - Celery's Context
    """Return the outcome for Celery's tracer: the value itself if a hook or a signal of the task reads it.

    `sent_form` and `Spiller` replace it by the reference again.
    """
    if not isinstance(travels, Spill) or not watches_end(task):
        return travels
    known: SpilledReturn | None = getattr(request, _RETURNED, None)
    if known is not None and known.spill == travels:
        return known.value
    try:
        value = task.backend.resolver.fetch(travels, owner=owner_of(request))
    except ResultStoreError as error:
        _log.warning("value_not_read", id=request.id, error=repr(error))
        return travels
    remember_value(request, travels, value)
    return value


@contextmanager
def sent_form(request: object, result: object) -> Iterator[object]:
    """Yield what is stored of `result`: the reference that travels in its place, or `result` itself."""
    known: SpilledReturn | None = getattr(request, _RETURNED, None)
    try:
        yield known.spill if known is not None and known.value is result else result
    finally:
        if known is not None:
            setattr(request, _RETURNED, None)  # from here on a hook may change the value


def returned_value(request: object, result: object) -> object:
    """Return the value that `result` is the reference of, where it is at hand; else `result`."""
    known: SpilledReturn | None = getattr(request, _RETURNED, None)
    return known.value if known is not None and known.spill == result else result
