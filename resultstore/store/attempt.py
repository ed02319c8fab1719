"""Attempt: one run of one task, and the Artifacts that it has stored so far."""

import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference, NotYours
from resultstore.model.ids import id_of
from resultstore.model.names import is_artifact_name
from resultstore.model.result import Progress, Result, State
from resultstore.store.naming import numbered
from resultstore.store.policy import DEFAULT, ByteBudget, OutputPolicy

PROGRESS_EVERY_S = 0.1  # at most ten reports a second

# The current attempt. A context variable works for threads, greenlets and coroutines; it is None outside a `running`
# block. A thread that a task starts has no value unless it is started by `contextvars.copy_context().run`.
_running: ContextVar["Attempt | None"] = ContextVar("resultstore_attempt", default=None)
# All running attempts of this process, by identity: a thread without the context belongs to one of them.
_live: dict[int, "Attempt"] = {}
os.register_at_fork(after_in_child=_live.clear)


class Attempt:
    """One run of one Result: its nonce, its Artifacts, its progress.

    Args:
        result_id: the Result it works for.
        task: the task's registered name.
        owner: who will own the Result.
        retries: how many attempts the framework counted before this one.
        policy: how its outputs are kept.
        created_at: when the task was sent, in epoch seconds; None if unknown. Each record of this run shows it.
    """

    def __init__(
        self,
        result_id: str,
        *,
        task: str = "",
        owner: str = "",
        retries: int = 0,
        policy: OutputPolicy = DEFAULT,
        created_at: float | None = None,
    ) -> None:
        self.id = id_of(result_id)
        self.task = task
        self.owner = owner
        self.retries = retries
        self.policy = policy
        self.created_at = created_at
        self.byte_budget = ByteBudget(self.id, policy.max_bytes)
        self._nonce: dict[str, str] = {}
        self.started_at = time.time()
        self.progress: Progress | None = None
        self.ended = False  # True: a thread that outlives the task reports nothing more
        self.wanted = True  # False: cancelled or deleted before it began; it stores nothing
        self.value: bytes | None = None  # what the task has reported as its value so far, encoded by its backend
        self.extra = b""  # what its backend stores next to the record while it runs
        self._artifacts: dict[str, Artifact] = {}
        self._tables: dict[str, bytes] = {}
        self._keys: list[str] = []
        self._names: set[str] = set()
        self._numbers: dict[str, int] = {}  # the last number that was given to each name without one
        self._reported_at = 0.0
        self._lock = threading.Lock()

    @property
    def nonce(self) -> str:
        """The random id of this run; created at the first use, because most runs store nothing."""
        return self._nonce.get("") or self._nonce.setdefault("", layout.new_nonce())

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The Artifacts stored so far, in the order in which they were finished."""
        return tuple(self._artifacts.values())

    @property
    def tables(self) -> Mapping[str, bytes]:
        """The digest table of each Artifact's blob, by name."""
        return self._tables

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that this attempt may have written."""
        return tuple(self._keys)

    def started_by(self, store_now: float) -> float:
        """Return the start time by the store's clock, given the store's current time `store_now` (epoch seconds)."""
        return store_now - (time.time() - self.started_at)

    def new_key(self, retention: str) -> str:
        """Return a new key that only this attempt writes."""
        with self._lock:
            key = layout.blob_key(self.id, retention=retention, nonce=self.nonce, n=len(self._keys))
            self._keys.append(key)
            return key

    def reserve(self, name: str, *, may_number: bool = False) -> str:
        """Reserve an Artifact name and return it. Raises BadReference if it cannot be part of a URL, or is taken.

        `may_number` chooses a free name instead of a taken one: `part-2.csv` after `part.csv`.
        """
        checked_name(name, id=self.id)
        with self._lock:
            free = self.free_name(name) if may_number else name
            if free in self._names:
                raise BadReference(f"result {self.id} already has an artifact named {name!r}: choose another name")
            self._names.add(free)
            return free

    def free_name(self, name: str) -> str:
        """Return `name`, or the next name with a number that is not taken."""
        free = name
        while free in self._names:
            self._numbers[name] = self._numbers.get(name, 1) + 1
            free = numbered(name, self._numbers[name])
        return free

    def release(self, name: str) -> None:
        """Release a reserved name after its bytes could not be stored."""
        with self._lock:
            self._names.discard(name)

    def add(self, artifact: Artifact, table: bytes) -> None:
        """Add a stored Artifact."""
        with self._lock:
            self._artifacts[artifact.name] = artifact
            self._tables[artifact.name] = table

    def adopt(self, artifact: Artifact) -> None:
        """Make an upload the first Artifact; its blob stays in place and is not deleted with this attempt's blobs.

        Raises BadReference if its name is taken.
        """
        self.reserve(artifact.name)
        with self._lock:
            self._artifacts = {artifact.name: artifact, **self._artifacts}

    def set_table(self, artifact: Artifact, table: bytes) -> None:
        """Store the digest table of an Artifact that was computed while it was read."""
        with self._lock:
            self._tables[artifact.name] = table

    def has_made(self, artifact: Artifact) -> bool:
        """Return True if this blob belongs to an Artifact of this attempt."""
        mine = self._artifacts.get(artifact.name)
        return mine is not None and (mine.key, mine.etag) == (artifact.key, artifact.etag)

    def check_owner(self, owner: str | None) -> str:
        """Return the owner of this run. Raises NotYours if `owner` is another one."""
        if owner is not None and owner != self.owner:
            raise NotYours(
                f"task {self.id} belongs to {self.owner or 'no owner'!r} and cannot store an Artifact for {owner!r}:"
                " send a task with the header resultstore_owner"
            )
        return self.owner

    def report(self, progress: Progress) -> bool:
        """Store `progress`; return True if it is due to be published (the first, the last, ten a second between)."""
        self.progress, self.value = progress, None
        now = time.monotonic()
        finished = progress.total > 0 and progress.done >= progress.total
        if not finished and now - self._reported_at < PROGRESS_EVERY_S:
            return False
        self._reported_at = now
        return True

    def result(self, state: str = State.PROGRESS) -> Result:
        """Return the Result in `state` with what this attempt has stored."""
        return Result(
            id=self.id,
            state=state,
            task=self.task,
            owner=self.owner,
            value=self.value,
            progress=self.progress,
            artifacts=self.artifacts,
            nonce=self.nonce,
            created_at=self.created_at,
            started_at=self.started_at,
            worker=platform.node(),
            retries=self.retries,
            extra=self.extra,
        )


@contextmanager
def running(attempt: Attempt) -> Iterator[Attempt]:
    """Make `attempt` the current one for the block: what the block stores becomes an Artifact of it."""
    token = _running.set(attempt)
    _live[id(attempt)] = attempt
    try:
        yield attempt
    finally:
        attempt.ended = True
        _live.pop(id(attempt), None)  # missing after a fork inside the block
        _running.reset(token)


def current() -> Attempt | None:
    """Return the current attempt, or None outside a task."""
    return _running.get()


def possible_attempts() -> tuple[Attempt, ...]:
    """Return the current attempt, or all attempts that a thread without context may belong to; () outside a task.

    A thread that a task started may belong to any running attempt of the process, which is mostly one. The main thread
    belongs to none.
    """
    here = _running.get()
    if here is not None:
        return (here,)
    if threading.current_thread() is threading.main_thread():
        return ()
    return tuple(_live.values())


def inherited_owner() -> str:
    """Return the running task's owner, who also owns Results that the task or its threads store under other ids."""
    owners = {run.owner for run in possible_attempts()}
    return owners.pop() if len(owners) == 1 else ""


def owner_of_new(owner: str | None) -> str:
    """Return the owner of a new Result: the named one, else that of the running task.

    Raises NotYours where a task names another owner than its own. A task without an owner may name any.
    """
    if owner is None:
        return inherited_owner()
    for run in possible_attempts():
        if run.owner:
            run.check_owner(owner)
    return owner


def checked_name(name: str, *, id: str) -> str:
    """Return `name` if it can name an Artifact of `id` (see `model.names`). Raises BadReference."""
    if not is_artifact_name(name):
        raise BadReference(
            f"{name[:40]!a} cannot name an artifact of {id}: use 1 to 255 characters, no control, no slash"
        )
    return name
