"""CapturingTasks: a task registry that stores large outputs inside the task call, whatever the task's base class."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, Final

from celery import Celery, Task
from celery.app.registry import TaskRegistry

from resultstore.backends.celery.capture import task_arguments
from resultstore.backends.celery.capture.amqp import spiller_of
from resultstore.backends.celery.capture.batched import has_own_strategy, resolve_requests
from resultstore.backends.celery.capture.cancelled import check_wanted
from resultstore.backends.celery.capture.keeps import policy_of
from resultstore.backends.celery.capture.lazy_parts import lazy_parameters
from resultstore.backends.celery.capture.observers import watches_end
from resultstore.backends.celery.capture.other_backend import keeps_results, run_plain
from resultstore.backends.celery.capture.resend import find_sealed
from resultstore.backends.celery.capture.return_value import value_for_tracer
from resultstore.backends.celery.capture.run_limit import counted_run
from resultstore.backends.celery.capture.task_arguments import FORWARDING_TASKS, run_arguments_of
from resultstore.backends.celery.publish.dispatch_once import check_start
from resultstore.backends.celery.publish.timing import sent_at
from resultstore.backends.celery.task_owner import owner_of
from resultstore.capture.adapters import NO_ADAPTERS, Adapter, Adapters
from resultstore.capture.outputs import capture
from resultstore.capture.run import run_captured
from resultstore.model.ids import id_of
from resultstore.model.layout import DAY_S
from resultstore.store.attempt import Attempt, current

Body = Callable[..., Any]

_MARK: Final = "_resultstore_captured"
_ENTERING: Final = "resultstore_entering"


class CapturingTasks(TaskRegistry):
    """Celery's registry, which wraps the body of each task that is registered.

    Every way of making a task ends in `registry[name] = task`: decorators, `register_task`, shared and built-in tasks.
    A hook in `task_cls` would be bypassed by a task with a base class of its own.
    """

    def __setitem__(self, name: str, task: Task) -> None:
        # If autoretry came first, the body is in `_orig_run` and `run` is the retry loop around it
        # (celery/app/autoretry.py): capture belongs inside, so that a failing generator is retried too.
        attribute = "_orig_run" if hasattr(task, "_orig_run") else "run"
        body = getattr(task, attribute)
        if not is_captured(body):
            setattr(task, attribute, _wrap_body(task, body))
        if _has_own_call(task) and not is_captured(type(task).__call__):
            task.__class__ = _wrap_call(type(task))
        task_arguments.install(task)
        super().__setitem__(name, task)


def is_captured(body: Body) -> bool:
    """Return whether a capturing registry has wrapped this body."""
    return getattr(body, _MARK, False) is True


def is_task_captured(task: Task) -> bool:
    """Return whether the function that the tracer will call is captured, even if the task was changed since."""
    if _has_own_call(task):
        return is_captured(type(task).__call__)
    return is_captured(getattr(task, "_orig_run", task.run))


def _wrap_body(task: Task, body: Body) -> Body:
    gets_batches = has_own_strategy(task)

    @functools.wraps(body)
    def run(*args: object, **kwargs: object) -> object:
        if _is_tracers(request := task.request):
            return _run_captured(task, request, body, args, kwargs)
        is_batch = gets_batches and keeps_results(task.backend)
        returned = body(*(resolve_requests(task, args) if is_batch else args), **kwargs)
        # Called by a captured `__call__` of the task: streams are stored here, inside autoretry, so that a stream that
        # fails is retried.
        return capture(task.backend.store, returned, adapters=_adapters_of(task)) if _enters(task) else returned

    setattr(run, _MARK, True)
    return run


def _wrap_call(kind: type[Task]) -> type[Task]:
    """Return a class like `kind` whose `__call__` is captured: it may not call `run`, or change what that returns."""

    @functools.wraps(kind.__call__)
    def call(self: Task, *args: object, **kwargs: object) -> object:
        if not _is_tracers(request := self.request):
            return kind.__call__(self, *args, **kwargs)
        setattr(request, _ENTERING, keeps_results(self.backend))
        return _run_captured(self, request, functools.partial(kind.__call__, self), args, kwargs)

    setattr(call, _MARK, True)
    return type(kind.__name__, (kind,), {"__call__": call, "__module__": kind.__module__, "__doc__": kind.__doc__})


def _new_attempt(task: Task, request: Any) -> Attempt:  # noqa: ANN401 - Celery's Context
    return Attempt(
        request.id,
        task=task.name,
        owner=owner_of(request),
        retries=request.retries or 0,
        policy=policy_of(task),
        created_at=sent_at(request),
    )


def _run_captured(
    task: Task,
    request: Any,  # noqa: ANN401 - Celery's Context
    body: Body,
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> object:
    backend = task.backend
    if not keeps_results(backend):
        return run_plain(task, body, args, kwargs, adapters=_adapters_of(task))
    request.id = id_of(request.id)  # a sender without this package may have sent a UUID
    check_wanted(request, backend.store)
    check_start(request, backend.store.index.keys, life_s=backend.groups.header_life_s or DAY_S)
    sealed = find_sealed(request, backend.store)
    if sealed is not None:
        request.resultstore_sealed = sealed
        if (given := run_arguments_of(request)) is not None and watches_end(task):
            task_arguments.show_values(task, given, owner=owner_of(request))
        return value_for_tracer(task, request, backend.decoded(backend.store.value(sealed)))
    keeping = policy_of(task)
    attempt = _new_attempt(task, request)

    def called() -> object:
        if task.name in FORWARDING_TASKS:
            _, options = backend.resolver.resolve_arguments((), kwargs, lazy={}, owner=attempt.owner)
            return body(*args, **options)
        return _call_with_values(task, attempt, body, args, kwargs)

    spilled = functools.partial(spiller_of(task.app).spill_return, task, attempt)
    with counted_run(task, request, backend.store.index, max_runs=backend.store.settings.results.max_runs):
        captured = run_captured(
            backend.store,
            attempt,
            called,
            codec=backend,
            given=(*args, *kwargs.values()),
            plain_max_bytes=-1 if keeping.durable and not request.is_eager else None,
            retention=keeping.retention,
            spilled=spilled,
            adapters=_adapters_of(task),
        )
    request.resultstore_sealed = captured.sealed
    return value_for_tracer(task, request, captured.value)


def _call_with_values(
    task: Task, attempt: Attempt, body: Body, args: tuple[object, ...], kwargs: dict[str, object]
) -> object:
    """Call `body` with the values of references; `request.args` and the hooks of an error get them too."""
    given = run_arguments_of(task.request)
    given = given if given is not None and given.is_passed(args, kwargs) else None
    if given is not None and given.filled:
        return body(*args, **kwargs)
    lazy = lazy_parameters(getattr(task, "_orig_run", task.run))
    values, named = task.backend.resolver.resolve_arguments(args, kwargs, lazy=lazy, owner=attempt.owner)
    if given is None:
        return body(*values, **named)
    given.fill(values, named)
    returned = body(*values, **named)
    if not watches_end(task):
        given.empty()
    return returned


def _is_tracers(request: Any) -> bool:  # noqa: ANN401 - Celery's Context
    """Return whether this is the tracer's own call: a task that is called like a function is not captured."""
    inside = current()
    return not request.called_directly and (inside is None or inside.id != request.id)


def _enters(task: Task) -> bool:
    """Return whether this is the first call of `run` by a captured `__call__`."""
    return vars(task.request).pop(_ENTERING, False) is True


def _has_own_call(task: Task) -> bool:
    # By its place and not by identity: a worker replaces Celery's own `__call__` (celery/app/trace.py).
    return next(kind for kind in type(task).__mro__ if "__call__" in vars(kind)) is not Task


def _adapters_of(task: Task) -> Adapters:
    return getattr(task.app, "resultstore_adapters", NO_ADAPTERS)  # a task may belong to an app without setup


def install(app: Celery, *, adapters: Iterable[Adapter] = ()) -> None:
    """Replace the registry of `app` by a capturing one with the same tasks; a second call only changes `adapters`."""
    app.resultstore_adapters = Adapters(adapters)
    if is_installed(app):
        return
    tasks = CapturingTasks()
    for name, task in app._tasks.items():  # noqa: SLF001 - the same
        tasks[name] = task
    app._tasks = tasks  # noqa: SLF001 - the same
    vars(app).pop("tasks", None)  # a finalized app keeps the registry that it had


def is_installed(app: Celery) -> bool:
    """Return whether `install` was called for this app."""
    return isinstance(app._tasks, CapturingTasks)  # noqa: SLF001 - `app.tasks` would finalize the app too early
