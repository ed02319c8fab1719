"""Returned: what a task has returned, as hooks and signals see it and as it travels."""

from typing import Any, Final, NamedTuple

from celery import Task, states
from celery._state import get_current_worker_task
from celery.backends.base import BaseKeyValueStoreBackend

from resultstore.backends.celery.capture.observers import watches_end
from resultstore.backends.celery.capture.task_arguments import given_of
from resultstore.backends.celery.owners import owner_of
from resultstore.model.errors import ResultStoreError
from resultstore.model.spill import Spill
from resultstore.telemetry.logs import Log

_log = Log(__name__)

_RETURNED: Final = "resultstore_returned"  # an attribute of the request


class SpilledReturn(NamedTuple):
    """A value that travels as a reference."""

    spill: Spill
    value: object


def remember(request: Any, spill: Spill, value: object) -> None:  # noqa: ANN401 - Celery's Context
    """Note until the outcome is stored that `spill` is what travels of `value`."""
    setattr(request, _RETURNED, SpilledReturn(spill, value))


def returned_here() -> SpilledReturn | None:
    """Return what the task that runs here has returned, while it is sent on and stored."""
    task = get_current_worker_task()
    return None if task is None else getattr(task.request, _RETURNED, None)


def as_seen(task: Task, request: Any, travels: object) -> object:  # noqa: ANN401 - Celery's Context
    """Return what the tracer is to get of an outcome: the value, where a hook or a signal of the task looks at it.

    `HandsOnReferences` and the making of messages put the reference back in its place.
    """
    if not isinstance(travels, Spill) or not watches_end(task):
        return travels
    known: SpilledReturn | None = getattr(request, _RETURNED, None)
    if known is not None and known.spill == travels:
        return known.value
    try:
        value = task.backend.resolver.opened(travels, owner=owner_of(request))
    except ResultStoreError as error:
        _log.warning("value_not_read", id=request.id, error=repr(error))
        return travels
    remember(request, travels, value)
    return value


class HandsOnReferences(BaseKeyValueStoreBackend):
    """The half of the backend that stores references where hooks and signals saw the values."""

    def mark_as_done(
        self,
        task_id: str,
        result: object,
        request: Any = None,  # noqa: ANN401 - Celery's Context
        store_result: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
        state: str = states.SUCCESS,
    ) -> None:
        """Store the outcome of a task that has succeeded, and count it for its chord."""
        known: SpilledReturn | None = getattr(request, _RETURNED, None)
        travels = known.spill if known is not None and known.value is result else result
        try:
            super().mark_as_done(task_id, travels, request, store_result, state)
        finally:
            if known is not None:
                setattr(request, _RETURNED, None)  # a hook may change the value from here on

    def _get_result_meta(
        self,
        result: object,
        state: str,
        traceback: str | None,
        request: Any,  # noqa: ANN401 - Celery's Context
        **options: Any,  # noqa: ANN401 - Celery's
    ) -> dict[str, Any]:
        meta: dict[str, Any] = super()._get_result_meta(result, state, traceback, request, **options)
        given = given_of(request)
        if given is not None and "args" in meta and not options.get("encode", True):  # with `result_extended`
            meta.update(args=given.references, kwargs=given.named_references)
        return meta
