"""Keeps: sets how the outputs of one task are stored."""

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
    """Set how the outputs of a task are stored, unless an `Output` says otherwise.

    ```python
    @app.task
    @keeps(retention="7d", max_bytes=100 << 20)
    def report(year: int) -> Iterator[bytes]: ...
    ```

    Args:
        retention: a retention class; by default `settings.results.retention`.
        max_bytes: the limit of what one run stores, uncompressed; above it the task fails with TooLarge.
        compress: True compresses Artifacts with zstd too, False stores large values uncompressed.
        durable: whether a small value is sealed too, so that it survives the loss of Redis.
        spill: False sends the task's arguments and its value whole, whatever their size: for a task that programs
            without this package send or receive. For arguments, the sender must have registered the task.

    Raises BadReference for an unknown class.
    """
    chosen = None if retention is None else layout.require_class(retention)
    keeping = OutputPolicy(retention=chosen, max_bytes=max_bytes, compress=compress, durable=durable, spill=spill)

    def mark(made: Made) -> Made:
        setattr(made, _KEPT, keeping)
        return made

    return mark


def policy_of(task: Task) -> OutputPolicy:
    """Return what `keeps` has set on the task's function, its `run` or its class."""
    # Wrappers copy a function's attributes: autoretry, pydantic and capture all do.
    found: OutputPolicy | None = getattr(task.run, _KEPT, None) or getattr(task, _KEPT, None)
    return found or DEFAULT
