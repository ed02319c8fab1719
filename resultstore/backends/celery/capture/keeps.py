"""Keeps: how the outputs of one task are kept."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from celery import Task

from resultstore.model import layout
from resultstore.store.policy import DEFAULT, OutputPolicy

Made = TypeVar("Made", bound=Callable[..., Any])

_KEPT: Final = "_resultstore_keeping"


def keeps(
    *,
    retention: str | None = None,
    max_bytes: int | None = None,
    compress: bool | None = None,
    durable: bool = False,
    spill: bool = True,
) -> Callable[[Made], Made]:
    """Say how the outputs of a task are kept, where an `Output` does not say otherwise.

    ```python
    @app.task
    @keeps(retention="7d", max_bytes=100 << 20)
    def report(year: int) -> Iterator[bytes]: ...
    ```

    Args:
        retention: a retention class; by default `Settings.retention`.
        max_bytes: the most that one run may store, unpacked; above it the task fails with TooLarge and stores nothing.
        compress: True stores Artifacts as zstd too, False stores large values raw.
        durable: whether a small value is sealed too, so that it survives the loss of Redis.
        spill: False lets the task's arguments and its value travel whole, whatever their size: for one that other
            programs send or receive without this package. Its arguments do so where the sender has registered it.

    Raises BadReference for an unknown class.
    """
    chosen = None if retention is None else layout.require_class(retention)
    keeping = OutputPolicy(retention=chosen, max_bytes=max_bytes, compress=compress, durable=durable, spill=spill)

    def mark(made: Made) -> Made:
        setattr(made, _KEPT, keeping)
        return made

    return mark


def keeping_of(task: Task) -> OutputPolicy:
    """What `keeps` said of the task, at its function, its `run` or its class."""
    # What wraps a function takes its attributes along: autoretry, pydantic and capture all do.
    found: OutputPolicy | None = getattr(task.run, _KEPT, None) or getattr(task, _KEPT, None)
    return found or DEFAULT
