"""Result: the record of one piece of work."""

import math
from enum import StrEnum

import msgspec

from resultstore.model.artifact import Artifact


class State(StrEnum):
    """Celery's state names; a Result may also carry a custom one as a plain string."""

    PENDING = "PENDING"
    RECEIVED = "RECEIVED"
    STARTED = "STARTED"
    PROGRESS = "PROGRESS"
    RETRY = "RETRY"
    FAILURE = "FAILURE"
    REVOKED = "REVOKED"
    SUCCESS = "SUCCESS"


_INT_BITS = 64  # with its sign: what MessagePack holds

TERMINAL = frozenset({State.SUCCESS, State.FAILURE, State.REVOKED})


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a running task is: `done` of `total` (any unit; total 0 when unknown), and a short note."""

    done: float
    total: float = 0
    note: str = ""

    @classmethod
    def of(cls, done: object, total: object = 0, note: object = "") -> "Progress":
        """What a task reports, as a record can hold it: any number, and its note as text.

        No task fails for what it reports: what is no finite number counts as 0, as "unknown" does.
        """
        return cls(_count(done), _count(total), "" if note is None else str(note))

    @property
    def percent(self) -> float | None:
        """0 to 100, or None when the total is unknown."""
        return min(100.0, 100.0 * self.done / self.total) if self.total > 0 else None


def _count(number: object) -> int | float:
    if type(number) is int and number.bit_length() < _INT_BITS:
        return number
    try:
        plain = float(number)  # type: ignore[arg-type]  # any number, of numpy too; what is none raises
    except (TypeError, ValueError, OverflowError):
        return 0
    return plain if math.isfinite(plain) else 0


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """Why a Result failed: class name, message, and the module the class lives in."""

    type: str
    message: str
    module: str = ""

    @classmethod
    def of(cls, error: BaseException, *, name: str | None = None) -> "Failure":
        """Describe an exception, whatever its own methods do.

        Args:
            error: the exception.
            name: how the class is called; by default its `__name__`.
        """
        kind = type(error)
        return cls(name or kind.__name__, text_of(error), str(kind.__module__))


def text_of(error: object) -> str:
    """Return `str(error)`, or the stand-in that `traceback` prints where that raises."""
    try:
        return str.__str__(str(error))
    except Exception:  # noqa: BLE001 - a user's own method may raise anything
        return f"<{'exception' if isinstance(error, BaseException) else 'value'} str() failed>"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one id.

    Args:
        id: the task's id, the upload's id, the Result's id: one id all the way.
        state: a `State`, or a custom state's name.
        task: the task's registered name.
        owner: who may see it; "" when nobody was named at dispatch.
        value: the plain return value, encoded by the door's serializer; None when none, or when it is sealed away.
        progress: how far it is while it runs.
        failure: why it failed.
        traceback: the full traceback, read only by a full load.
        artifacts: its large outputs, in the order they were made.
        sealed: a seal stands in the object store: the Result survives the loss of the index.
        ephemeral: nothing will ever be sealed under this id, so look-ups never ask the object store.
        nonce: the attempt that wrote this state.
        created_at, started_at, ended_at: seconds since the epoch; None when not known.
        changed_at: when this record was written last.
        expires_at: seconds since the epoch; None when it is kept.
        worker: the host name of the worker that ran it.
        retries: how often it was tried again.
        extra: what a door keeps beside (children, arguments ...), encoded by that door.
        deleted: a tombstone: the Result was deleted, and nothing is written over it. Look-ups never return one.
        unread: which of "value", "extra" and "rest" lie beside the record and were left out by a peek.
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
        """Whether the state will not change any more by itself."""
        return self.state in TERMINAL

    @property
    def stored_until(self) -> float:
        """When the last of its bytes in the object store expire (epoch seconds).

        Infinite where they are kept, 0 where there are none.
        """
        if self.sealed:
            return math.inf if self.expires_at is None else self.expires_at
        return max((math.inf if one.expires_at is None else one.expires_at for one in self.artifacts), default=0.0)

    @property
    def run_time_s(self) -> float | None:
        """Seconds from start to end; None while either is unknown."""
        return None if self.started_at is None or self.ended_at is None else self.ended_at - self.started_at

    def moved(self, state: str, **changes: object) -> "Result":
        """A copy in another state, with `changes` to the other fields."""
        return msgspec.structs.replace(self, state=str(state), **changes)

    def artifact(self, name: str) -> Artifact | None:
        """The Artifact of that name, or None."""
        return next((one for one in self.artifacts if one.name == name), None)
