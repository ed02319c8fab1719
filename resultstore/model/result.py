"""Result: the state and the outcome of one task."""

import math
from collections.abc import Mapping
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from resultstore.model.artifact import Artifact, Scalar


class State(StrEnum):
    """States of a Result, under Celery's names. A Result may also have a custom state, as a plain string."""

    PENDING = "PENDING"
    RECEIVED = "RECEIVED"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    RETRY = "RETRY"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"
    SUCCESS = "SUCCESS"


_INT_BITS = 64  # with its sign: the largest integer of MessagePack

TERMINAL = frozenset({State.SUCCESS, State.FAILURE, State.REVOKED})


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """Progress of a running task: `done` of `total` in any unit, and a short note. `total` is 0 if unknown."""

    done: float
    total: float = 0
    note: str = ""

    @classmethod
    def of(cls, done: object, total: object = 0, note: object = "") -> "Progress":
        """Return the Progress that a task reports. Numbers of any type are accepted, and the note becomes a text.

        Never raises, so that no task fails because of a report: a value that is not a finite number becomes 0.
        """
        return cls(_count(done), _count(total), "" if note is None else str(note))

    @property
    def percent(self) -> float | None:
        """Percentage from 0 to 100, or None if the total is unknown."""
        return min(100.0, 100.0 * self.done / self.total) if self.total > 0 else None


def _count(number: object) -> int | float:
    if type(number) is int and number.bit_length() < _INT_BITS:
        return number
    try:
        plain = float(number)  # type: ignore[arg-type]  # any number, of numpy too; others raise
    except (TypeError, ValueError, OverflowError):
        return 0
    return plain if math.isfinite(plain) else 0


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """Error of a failed Result: class name and message of the exception, and the module of its class."""

    type: str
    message: str
    module: str = ""

    @classmethod
    def of(cls, error: BaseException, *, name: str | None = None) -> "Failure":
        """Return the Failure that describes an exception. Never raises, even if the exception's methods do.

        Args:
            error: the exception.
            name: class name to use; by default the `__name__` of its class.
        """
        kind = type(error)
        return cls(name or kind.__name__, text_of(error), str(kind.__module__))


def text_of(error: object) -> str:
    """Return `str(error)`, or if that raises, the replacement text that `traceback` prints."""
    try:
        return str.__str__(str(error))
    except Exception:  # noqa: BLE001 - a user's own method may raise anything
        return f"<{'exception' if isinstance(error, BaseException) else 'value'} str() failed>"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """State and outcome of one task: its plain value, its Artifacts or its failure.

    Args:
        id: id of the Result, which is also the id of its task and of its upload.
        state: a `State`, or the name of a custom state.
        task: registered name of the task.
        owner: owner of the Result, who may read it over HTTP; "" if none was named at dispatch.
        value: the plain return value as bytes, encoded by the serializer of the backend; None if there is none, or
            if it is stored in the seal only.
        progress: progress while the task runs.
        failure: error of a failed task.
        traceback: full traceback of the error; "" unless the whole Result was read.
        artifacts: large outputs, in the order in which they were made.
        sealed: whether a seal is stored in the object store, so that the Result survives the loss of the index.
        ephemeral: whether the Result is kept in the index only, so that look-ups never ask the object store.
        nonce: id of the attempt that wrote this state.
        created_at, started_at, ended_at: seconds since the epoch; None if unknown.
        changed_at: when the record was last written, in seconds since the epoch.
        expires_at: when the Result expires, in seconds since the epoch; None if it is kept.
        worker: host name of the worker that ran the task.
        retries: how often the task was retried.
        extra: further data of the backend (children, arguments ...), encoded by that backend.
        deleted: whether this is a tombstone: the Result was deleted and its id is not used again. Look-ups never
            return one.
        unread: parts that are stored under a second key and were not read: "value", "extra" and "rest".
    """

    id: str
    state: str = State.PENDING
    task: str = ""
    owner: str = ""
    value: bytes | None = None
    progress: Progress | None = None
    failure: Failure | None = None
    traceback: str = ""
    artifacts: tuple[Artifact, ...] = ()
    sealed: bool = False
    ephemeral: bool = False
    nonce: str = ""
    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    changed_at: float | None = None
    expires_at: int | None = None
    worker: str = ""
    retries: int = 0
    extra: bytes = b""
    deleted: bool = False
    unread: frozenset[str] = frozenset()

    @property
    def terminal(self) -> bool:
        """Whether the task has ended: only a deletion or a new run changes the Result."""
        return self.state in TERMINAL

    @property
    def stored_until(self) -> float:
        """When the last of its bytes in the object store expire, in seconds since the epoch.

        Infinite if they are kept, 0 if there are none.
        """
        if self.sealed:
            return math.inf if self.expires_at is None else self.expires_at
        return max((math.inf if one.expires_at is None else one.expires_at for one in self.artifacts), default=0.0)

    @property
    def run_time_s(self) -> float | None:
        """Seconds from start to end; None if either is unknown."""
        return None if self.started_at is None or self.ended_at is None else self.ended_at - self.started_at

    def moved(self, state: str, **changes: object) -> "Result":
        """Return a copy in another state, with `changes` to other fields."""
        return msgspec.structs.replace(self, state=str(state), **changes)

    def artifact(self, name: str) -> Artifact | None:
        """Return the Artifact of that name, or None."""
        return next((one for one in self.artifacts if one.name == name), None)

    def find(self, *, name: str | None = None, metadata: Mapping[str, Scalar] | None = None) -> tuple[Artifact, ...]:
        """Return the Artifacts whose name fits the pattern `name` (`*.pdf`) and that have these metadata values."""
        wanted = {} if metadata is None else metadata
        return tuple(
            one
            for one in self.artifacts
            if (name is None or fnmatchcase(one.name, name))
            and all(key in one.metadata and one.metadata[key] == value for key, value in wanted.items())
        )
