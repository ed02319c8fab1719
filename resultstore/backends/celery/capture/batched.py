"""Batched requests: the arguments of tasks that collect requests by a Strategy of their own (celery-batches)."""

from collections.abc import Sequence
from typing import Any, Final

from celery import Task, states

from resultstore.backends.celery.task_owner import owner_of
from resultstore.model.errors import ResultStoreError

_REQUEST: Final = ("id", "args", "kwargs", "request_dict")  # of celery_batches.SimpleRequest


def has_own_strategy(task: Task) -> bool:
    """Return whether a worker passes the task's messages to code of the task's own, and not to its pool."""
    return bool(type(task).Strategy != Task.Strategy)


def resolve_requests(task: Task, args: Sequence[object]) -> list[object]:
    """Return the arguments of a batch, in which each request has the values of its references.

    A request whose values cannot be read is left out, and its task fails with the reason: the others can be run.
    """
    return [_readable(task, one) if type(one) is list and one and _is_request(one[0]) else one for one in args]


def _readable(task: Task, requests: list[Any]) -> list[Any]:
    backend, found = task.backend, []
    for one in requests:
        try:
            one.args, one.kwargs = backend.resolver.resolve_arguments(
                one.args, one.kwargs, lazy={}, owner=owner_of(one)
            )
        except ResultStoreError as error:
            backend.store_result(one.id, error, states.FAILURE, request=one)  # it has no errbacks
        else:
            found.append(one)
    return found


def _is_request(one: object) -> bool:
    return all(hasattr(one, name) for name in _REQUEST)
