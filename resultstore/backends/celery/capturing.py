"""Capturing: a task registry that stores large outputs inside the task call, whatever the task's base class."""

import functools
from collections.abc import Callable
from typing import Any

from celery import Celery, Task
from celery.app.registry import TaskRegistry

from resultstore.backends.celery.owners import owner_of
from resultstore.capturing import run_captured
from resultstore.store.attempt import Attempt, current

Body = Callable[..., Any]

_MARK = "_resultstore_captured"


class CapturingTasks(TaskRegistry):
    """Celery's registry, wrapping the body of each task that comes in.

    Every way of making a task ends in `registry[name] = task`: decorators, `register_task`, shared and built-in tasks.
    A hook in `task_cls` or `__call__` would be bypassed by a task with a base class or a `__call__` of its own.
    """

    def __setitem__(self, name: str, task: Task) -> None:
        # Where autoretry came first, the body stands in `_orig_run` and `run` is the retry loop around it
        # (celery/app/autoretry.py): capture belongs inside, so that a failing generator is retried too.
        attribute = "_orig_run" if hasattr(task, "_orig_run") else "run"
        body = getattr(task, attribute)
        if not getattr(body, _MARK, False):
            setattr(task, attribute, _captured(task, body))
        super().__setitem__(name, task)


def _captured(task: Task, body: Body) -> Body:
    @functools.wraps(body)
    def run(*args: object, **kwargs: object) -> object:
        request = task.request
        inside = current()
        # Only the tracer's own call is captured: a task that is called like a function returns what it returns.
        if request.called_directly or (inside is not None and inside.id == request.id):
            return body(*args, **kwargs)
        return _run_captured(task, functools.partial(body, *args, **kwargs))

    setattr(run, _MARK, True)
    return run


def _run_captured(task: Task, body: Callable[[], object]) -> object:
    request = task.request
    attempt = Attempt(request.id, task=task.name, owner=owner_of(request), retries=request.retries or 0)
    captured = run_captured(task.backend.store, attempt, body, codec=task.backend)
    request.resultstore_sealed = captured.sealed
    return captured.value


def install(app: Celery) -> None:
    """Give `app` a capturing registry that holds what its registry held. Doing it twice changes nothing."""
    if isinstance(app._tasks, CapturingTasks):  # noqa: SLF001 - `app.tasks` would finalize the app too early
        return
    tasks = CapturingTasks()
    for name, task in app._tasks.items():  # noqa: SLF001 - the same
        tasks[name] = task
    app._tasks = tasks  # noqa: SLF001 - the same
