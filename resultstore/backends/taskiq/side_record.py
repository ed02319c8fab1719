"""SideRecord: what taskiq keeps of a result besides its value, in the `extra` field of its record."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from taskiq import TaskiqResult
from taskiq.depends.progress_tracker import TaskProgress
from taskiq.labels import parse_label, prepare_label
from taskiq.serialization import ExceptionRepr, exception_to_python, prepare_exception

from resultstore.backends.taskiq.value_codec import ValueCodec
from resultstore.model.result import Failure, Progress, Result

_COUNTS: Final = tuple[float, float, str]


class SideRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Labels, times, logs, the error and the progress of one task.

    Args:
        execution_time: seconds; None while it runs.
        labels: each as taskiq writes it into a message: a text, and the number of its type.
        log: what a worker collected; None without.
        error: class path and arguments, as taskiq writes an exception in JSON.
        progress: `state` and `meta` of the last TaskProgress.
    """

    execution_time: float | None = None
    labels: Mapping[str, tuple[str, int]] = msgspec.field(default_factory=dict)
    log: str | None = None
    error: Mapping[str, object] | None = None
    progress: Mapping[str, object] | None = None

    @classmethod
    def of_result(cls, result: "TaskiqResult[Any]", *, progress: Mapping[str, object] | None) -> "SideRecord":
        """Return all of `result` but its value.

        Call it in the event loop's thread: taskiq's `prepare_exception` uses one list for the whole process.
        """
        error = None if result.error is None else prepare_exception(result.error, json)
        return cls(
            execution_time=result.execution_time,
            labels={name: prepare_label(label) for name, label in result.labels.items()},
            log=result.log,
            error=error.model_dump() if isinstance(error, ExceptionRepr) else None,
            progress=progress,
        )

    @classmethod
    def of_progress(cls, progress: "TaskProgress[object]") -> "SideRecord":
        """Return the progress of a running task."""
        return cls(progress={"state": str(getattr(progress.state, "value", progress.state)), "meta": progress.meta})

    @classmethod
    def read(cls, result: Result, codec: ValueCodec) -> "SideRecord":
        """Return the side record of a Result; an empty one where another backend wrote the Result."""
        if not result.extra:
            return cls()
        try:
            return msgspec.convert(codec.decoded(result.extra), cls)
        except msgspec.ValidationError:
            return cls()

    def encoded(self, codec: ValueCodec) -> bytes:
        """Return the bytes for a record's `extra`. Raises WrongType when a progress' meta is not JSON."""
        # Not msgspec's own conversion: only the codec can write every meta.
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) is not None}
        return codec.encoded(fields)

    def parsed_labels(self) -> dict[str, object]:
        """Return the labels with their types."""
        return {name: parse_label(text, of_type) for name, (text, of_type) in self.labels.items()}

    def task_progress(self) -> "TaskProgress[object] | None":
        """Return the last TaskProgress, if one was set."""
        return None if self.progress is None else TaskProgress[object].model_validate(dict(self.progress))

    def error_of(self, result: Result) -> BaseException | None:
        """Return the exception of a failed Result, in its own class if that is imported, else in one of that name."""
        if self.error is not None:
            return exception_to_python(ExceptionRepr.model_validate(dict(self.error)))
        failure = result.failure or Failure(
            "TaskiqError", f"result {result.id} ended as {result.state}", "taskiq.exceptions"
        )
        made = ExceptionRepr(exc_type=failure.type, exc_message=(failure.message,), exc_module=failure.module or None)
        return exception_to_python(made)


def counted_progress(meta: object) -> Progress | None:
    """Return the progress that a bar can show, when `meta` is a dict with a number `done` (and `total`, `note`)."""
    if not isinstance(meta, Mapping):
        return None
    try:
        return Progress.of(*msgspec.convert([meta["done"], meta.get("total", 0), meta.get("note", "")], _COUNTS))
    except (KeyError, msgspec.ValidationError):
        return None
