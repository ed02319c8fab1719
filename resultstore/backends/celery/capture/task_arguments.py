"""Task arguments: references in the message, values for the task's hooks, signals and body."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from celery import Task

from resultstore.backends.celery.capture.lazy_parts import lazy_parameters
from resultstore.backends.celery.capture.observers import watches_start
from resultstore.backends.celery.capture.resolver import PLAIN
from resultstore.backends.celery.task_owner import owner_of
from resultstore.model.errors import ResultStoreError
from resultstore.telemetry.logs import Log

_log = Log(__name__)

Trace = Callable[..., Any]

_MARK: Final = "_resultstore_gives_values"
# These tasks send their positional arguments on, so the values of those references are not needed here.
FORWARDING_TASKS: Final = frozenset({"celery.accumulate"})


class Arguments(list[Any]):
    """The list that Celery passes to hooks, signals and `request.args`."""

    given: "RunArguments"


class RunArguments:
    """The arguments of one run.

    Celery passes the same list and dict to all hooks and signals. They hold references until the first reader needs
    values; then they are changed in place.

    Args:
        args: as they were decoded.
        kwargs: the same.
    """

    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.references = list(args)
        self.named_references = dict(kwargs)
        self.args = Arguments(args)
        self.args.given = self
        self.kwargs = dict(kwargs)
        self.filled = False

    def is_passed(self, args: Sequence[object], kwargs: Mapping[str, object]) -> bool:
        """Return whether these are still the same arguments: a wrapper around the body may have changed them."""
        return (
            len(args) == len(self.args)
            and kwargs.keys() == self.kwargs.keys()
            and all(one is mine for one, mine in zip(args, self.args, strict=True))
            and all(one is self.kwargs[name] for name, one in kwargs.items())
        )

    def fill(self, values: Sequence[object], named: Mapping[str, object]) -> None:
        """Replace the references by these values."""
        self.args[:] = values
        self.kwargs.update(named)
        self.filled = True

    def empty(self) -> None:
        """Replace the values by the references again, to free memory."""
        self.args[:] = self.references
        self.kwargs.update(self.named_references)
        self.filled = False


def run_arguments_of(request: object) -> RunArguments | None:
    """Return the arguments of a request, or None where all of them are plain."""
    return getattr(getattr(request, "args", None), "given", None)


class ValueTracer:
    """The `__trace__` of a class of tasks: gives hooks that run before the body the values of references.

    Celery assigns a tracer to `task.__trace__` in each process of a worker, and calls it for each message.
    """

    def __get__(self, task: Task | None, _: type | None = None) -> Trace | None:
        return None if task is None else vars(task).get("__trace__")

    def __set__(self, task: Task, tracer: Trace | None) -> None:
        vars(task)["__trace__"] = tracer if tracer is None or hasattr(tracer, _MARK) else _wrap_tracer(task, tracer)


def install(task: Task) -> None:
    """Give hooks and signals of `task` values, and its retries references."""
    kind, before = type(task), task.__trace__
    if not isinstance(
        next((vars(one)["__trace__"] for one in kind.__mro__ if "__trace__" in vars(one)), None), ValueTracer
    ):
        kind.__trace__ = ValueTracer()
        task.__trace__ = before
    if not hasattr(task.signature_from_request, _MARK):
        task.signature_from_request = _wrap_signature_from_request(task, task.signature_from_request)


def _wrap_tracer(task: Task, tracer: Trace) -> Trace:
    @functools.wraps(tracer)
    def trace(uuid: object, args: Any, kwargs: Any, request: Any = None) -> Any:  # noqa: ANN401 - Celery's
        is_usual = isinstance(args, list | tuple) and isinstance(kwargs, dict)
        if not is_usual or all(type(one) in PLAIN for one in (*args, *kwargs.values())):
            return tracer(uuid, args, kwargs, request)
        given = RunArguments(args, kwargs)
        if watches_start(task):
            show_values(task, given, owner=owner_of(request))
        return tracer(uuid, given.args, given.kwargs, request)

    setattr(trace, _MARK, True)
    return trace


def show_values(task: Task, given: RunArguments, *, owner: str) -> None:
    """Replace references by their values; if one cannot be read, all references stay.

    Args:
        task: the task, whether it runs or its sealed outcome is used.
        given: its arguments.
        owner: of the task.
    """
    if given.filled or task.name in FORWARDING_TASKS or not hasattr(task.backend, "resolver"):
        return
    lazy = lazy_parameters(getattr(task, "_orig_run", task.run))
    try:
        values, named = task.backend.resolver.resolve_arguments(given.args, given.kwargs, lazy=lazy, owner=owner)
    except ResultStoreError as error:
        # The task's body gets the same error, inside autoretry, and fails with it. Hooks get the reference.
        _log.warning("arguments_not_read", task=task.name, error=repr(error))
    else:
        given.fill(values, named)


def _wrap_signature_from_request(task: Task, make: Callable[..., Any]) -> Callable[..., Any]:
    """Let a retry send the references of its message, not their values."""

    @functools.wraps(make)
    def signature_from_request(
        request: Any = None,  # noqa: ANN401 - Celery's Context
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        *more: Any,  # noqa: ANN401 - Celery's
        **options: Any,  # noqa: ANN401 - Celery's
    ) -> Any:  # noqa: ANN401 - a signature
        given = run_arguments_of(task.request if request is None else request)
        if given is not None:
            args = given.references if args is None else args
            kwargs = given.named_references if kwargs is None else kwargs
        return make(request, args, kwargs, *more, **options)

    setattr(signature_from_request, _MARK, True)
    return signature_from_request
