"""Attempt: one run of one piece of work, and what it has made so far."""

import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference
from resultstore.model.ids import id_of
from resultstore.model.names import is_artifact_name
from resultstore.model.result import Progress, Result, State
from resultstore.store.policy import DEFAULT, ByteBudget, OutputPolicy

PROGRESS_EVERY_S = 0.1  # ten reports a second are more than an eye can follow

# Which attempt runs here. A context variable is right for threads, greenlets and coroutines alike; it holds nothing
# outside a `running` block. A thread that a task starts itself begins outside: `contextvars.copy_context().run` takes
# it along.
_running: ContextVar["Attempt | None"] = ContextVar("resultstore_attempt", default=None)
# All that run in this process, by identity: a thread without that context belongs to one of them.
_live: dict[int, "Attempt"] = {}
os.register_at_fork(after_in_child=_live.clear)


class Attempt:
    """One run of one Result: its nonce, its parts, its progress.

    Args:
        result_id: the Result it works for.
        task: the task's registered name.
        owner: who will own the Result.
        retries: how many attempts the framework counted before this one.
        keeping: how its outputs are kept.
    """

    def __init__(
        self,
        result_id: str,
        *,
        task: str = "",
        owner: str = "",
        retries: int = 0,
        keeping: OutputPolicy = DEFAULT,
    ) -> None:
        self.id = id_of(result_id)
        self.task = task
        self.owner = owner
        self.retries = retries
        self.keeping = keeping
        self.byte_budget = ByteBudget(self.id, keeping.max_bytes)
        self._nonce: dict[str, str] = {}
        self.started_at = time.time()
        self.progress: Progress | None = None
        self.wanted = True  # False: it was cancelled or deleted before it began, and stores nothing
        self.extra = b""  # what its door keeps beside the record while it runs
        self._artifacts: dict[str, Artifact] = {}
        self._tables: dict[str, bytes] = {}
        self._keys: list[str] = []
        self._names: set[str] = set()
        self._reported_at = 0.0
        self._lock = threading.Lock()

    @property
    def nonce(self) -> str:
        """What tells this run from all others; made when it is asked for, as most runs store and seal nothing."""
        return self._nonce.get("") or self._nonce.setdefault("", layout.new_nonce())

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Its parts so far, in the order they were finished."""
        return tuple(self._artifacts.values())

    @property
    def tables(self) -> Mapping[str, bytes]:
        """The digest table of each part's blob, by name."""
        return self._tables

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that this attempt may have written."""
        return tuple(self._keys)

    def started_by(self, store_now: float) -> float:
        """When it started, by the store's clock, which reads `store_now` at this moment (epoch seconds)."""
        return store_now - (time.time() - self.started_at)

    def new_key(self, retention: str) -> str:
        """A key that nobody else will ever write."""
        with self._lock:
            key = layout.blob_key(self.id, retention=retention, nonce=self.nonce, n=len(self._keys))
            self._keys.append(key)
            return key

    def reserve(self, name: str) -> None:
        """Take a part's name. Raises BadReference when it is taken or cannot stand in a URL."""
        checked_name(name, id=self.id)
        with self._lock:
            if name in self._names:
                raise BadReference(f"result {self.id} already has an artifact named {name!r}: choose another name")
            self._names.add(name)

    def release(self, name: str) -> None:
        """Give a reserved name back, after its bytes could not be stored."""
        with self._lock:
            self._names.discard(name)

    def add(self, artifact: Artifact, table: bytes) -> None:
        """Count a stored part in."""
        with self._lock:
            self._artifacts[artifact.name] = artifact
            self._tables[artifact.name] = table

    def adopt(self, artifact: Artifact) -> None:
        """Make an upload the first part: its blob stays where it is, and is not deleted with what the attempt wrote.

        Raises BadReference when its name is taken.
        """
        self.reserve(artifact.name)
        with self._lock:
            self._artifacts = {artifact.name: artifact, **self._artifacts}

    def set_table(self, artifact: Artifact, table: bytes) -> None:
        """Remember the digest table of a part that was measured while it was read."""
        with self._lock:
            self._tables[artifact.name] = table

    def has_made(self, artifact: Artifact) -> bool:
        """Whether this very blob is one of this attempt's parts."""
        mine = self._artifacts.get(artifact.name)
        return mine is not None and (mine.key, mine.etag) == (artifact.key, artifact.etag)

    def report(self, progress: Progress) -> bool:
        """Keep `progress`; whether it is time to show it (the first, the last, and ten a second between)."""
        self.progress = progress
        now = time.monotonic()
        finished = progress.total > 0 and progress.done >= progress.total
        if not finished and now - self._reported_at < PROGRESS_EVERY_S:
            return False
        self._reported_at = now
        return True

    def result(self, state: str = State.PROGRESS) -> Result:
        """The Result as this attempt knows it, in `state`."""
        return Result(
            id=self.id,
            state=state,
            task=self.task,
            owner=self.owner,
            progress=self.progress,
            artifacts=self.artifacts,
            nonce=self.nonce,
            started_at=self.started_at,
            worker=platform.node(),
            retries=self.retries,
            extra=self.extra,
        )


@contextmanager
def running(attempt: Attempt) -> Iterator[Attempt]:
    """Make `attempt` the current one: what is stored inside the block becomes a part of it."""
    token = _running.set(attempt)
    _live[id(attempt)] = attempt
    try:
        yield attempt
    finally:
        _live.pop(id(attempt), None)  # a fork inside the block has none
        _running.reset(token)


def current() -> Attempt | None:
    """The attempt that runs here, or None outside a task."""
    return _running.get()


def possible_attempts() -> tuple[Attempt, ...]:
    """Return the attempt that runs here, or those that a thread without its context may belong to; () outside a task.

    A thread that a task has started may be any running attempt's; mostly one runs in a process. The main thread is
    started by none.
    """
    here = _running.get()
    if here is not None:
        return (here,)
    if threading.current_thread() is threading.main_thread():
        return ()
    return tuple(_live.values())


def inherited_owner() -> str:
    """Return the owner of what is stored here under an id of its own: the running task's, in its threads too."""
    owners = {run.owner for run in possible_attempts()}
    return owners.pop() if len(owners) == 1 else ""


def checked_name(name: str, *, id: str) -> str:
    """`name` itself when it can name an Artifact of `id` (`model.names`). Raises BadReference."""
    if not is_artifact_name(name):
        raise BadReference(
            f"{name[:40]!a} cannot name an artifact of {id}: use 1 to 255 characters, no control, no slash"
        )
    return name
