"""Other backend: what a captured task does if its results are kept by another backend than resultstore's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from celery import Task

from resultstore.backends.celery.codec.kombu_types import is_spill
from resultstore.capture.adapters import Adapters
from resultstore.capture.outputs import holds_output
from resultstore.model.errors import Misconfigured
from resultstore.store import Store

NOT_RESULTSTORE: Final = "the app's result backend is not resultstore: set it to resultstore+redis://host:6379/0"


def keeps_results(backend: object) -> bool:
    """Return whether this result backend is resultstore's."""
    return isinstance(getattr(backend, "store", None), Store)


def run_plain(
    task: Task,
    body: Callable[..., Any],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    *,
    adapters: Adapters,
) -> object:
    """Call `body` as Celery would, and return what it returns.

    Raises Misconfigured for an argument that is a reference, and for a returned file: only resultstore has their bytes.
    """
    if any(map(is_spill, (*args, *kwargs.values()))):
        raise Misconfigured(f"an argument of {task.name} is a reference to a stored value, and {NOT_RESULTSTORE}")
    returned = body(*args, **kwargs)
    if holds_output(returned, adapters=adapters):
        raise Misconfigured(f"{task.name} returns a file (an Output, a Path or a stream), and {NOT_RESULTSTORE}")
    return returned
