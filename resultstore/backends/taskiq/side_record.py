"""Beside: what taskiq tells of a result besides its value, and how it stands in a record."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from taskiq import TaskiqResult
from taskiq.depends.progress_tracker import TaskProgress
from taskiq.labels import parse_label, prepare_label
from taskiq.serialization import ExceptionRepr, exception_to_python, prepare_exception

from resultstore.backends.taskiq.value_codec import ValueCodec
from resultstore.model.result import Failure, Progress, Result


class SideRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Labels, times, logs, the error and the progress of one task.

    Args:
        execution_time: seconds; None while it runs.
        labels: each as taskiq puts it into a message: a text, and the number of its type.
        log: what a worker collected; None without.
        error: class path and arguments, as taskiq's JSON tells an exception.
        progress: `state` and `meta` of the last TaskProgress.
    """

    execution_time: float | None = None
    labels: Mapping[str, tuple[str, int]] = msgspec.field(default_factory=dict)
    log: str | None = None
    error: Mapping[str, object] | None = None
    progress: Mapping[str, object] | None = None

    def parsed_labels(self) -> dict[str, object]:
        """The labels with their types."""
        return {name: parse_label(text, of_type) for name, (text, of_type) in self.labels.items()}

    def task_progress(self) -> "TaskProgress[object] | None":
        """The last TaskProgress, if one was set."""
        return None if self.progress is None else TaskProgress[object].model_validate(dict(self.progress))


NOTHING = SideRecord()


def told(result: "TaskiqResult[Any]", *, progress: Mapping[str, object] | None) -> SideRecord:
    """What `result` tells besides its value.

    Call it in the event loop's thread: taskiq's way of writing exceptions keeps a list for the whole process.
    """
    error = None if result.error is None else prepare_exception(result.error, json)
    return SideRecord(
        execution_time=result.execution_time,
        labels={name: prepare_label(label) for name, label in result.labels.items()},
        log=result.log,
        error=error.model_dump() if isinstance(error, ExceptionRepr) else None,
        progress=progress,
    )


def of_progress(progress: "TaskProgress[object]") -> SideRecord:
    """What a running task tells."""
    return SideRecord(progress={"state": str(getattr(progress.state, "value", progress.state)), "meta": progress.meta})


def counted(meta: object) -> Progress | None:
    """The progress that a bar can show, when `meta` is a dict with a number `done` (and `total`, and a `note`)."""
    if not isinstance(meta, Mapping):
        return None
    try:
        return Progress.of(*msgspec.convert([meta["done"], meta.get("total", 0), meta.get("note", "")], _COUNTS))
    except (KeyError, msgspec.ValidationError):
        return None


def written(beside: SideRecord, encoding: ValueCodec) -> bytes:
    """`beside` for a record's `extra`. Raises WrongType when a progress' meta is not JSON."""
    # Not msgspec's own conversion: the meta may hold what only the encoding knows.
    given = {name: getattr(beside, name) for name in beside.__struct_fields__ if getattr(beside, name) is not None}
    return encoding.encoded(given)


def read(result: Result, encoding: ValueCodec) -> SideRecord:
    """What stands beside a record; where another door wrote that record, nothing."""
    if not result.extra:
        return NOTHING
    try:
        return msgspec.convert(encoding.decoded(result.extra), SideRecord)
    except msgspec.ValidationError:
        return NOTHING


def error_of(result: Result, beside: SideRecord) -> BaseException | None:
    """The exception of a failed Result, in its own class where that is imported already, else in one made by name."""
    if beside.error is not None:
        return exception_to_python(ExceptionRepr.model_validate(dict(beside.error)))
    failure = result.failure or Failure(
        "TaskiqError", f"result {result.id} ended as {result.state}", "taskiq.exceptions"
    )
    made = ExceptionRepr(exc_type=failure.type, exc_message=(failure.message,), exc_module=failure.module or None)
    return exception_to_python(made)


_COUNTS = tuple[float, float, str]
