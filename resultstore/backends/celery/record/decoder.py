"""ResultDecoder: turns stored Results into the metas and values that Celery asks for."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import tzinfo
from typing import Any

import msgspec
from celery import states
from celery.exceptions import TimeoutError as CeleryTimeoutError

from resultstore.backends.celery.record.conversion import encode_failure
from resultstore.backends.celery.record.meta import TaskMeta
from resultstore.backends.celery.record.progress_meta import progress_meta
from resultstore.model import record
from resultstore.model.errors import RecordUnreadable, ResultMissing, ResultStoreError
from resultstore.model.event import Announcement
from resultstore.model.result import Failure, Result, State
from resultstore.store import Store
from resultstore.telemetry.logs import Log

_log = Log(__name__)


def _as_revoked(task_id: str) -> Result:
    why = Failure("TaskRevokedError", f"result {task_id} was deleted", "celery.exceptions")
    return Result(id=task_id, state=State.REVOKED, failure=why)


class PollPlan(msgspec.Struct, frozen=True):
    """How often to poll: for at most `timeout_s` (None: no limit) and `max_rounds` times, `pause_s` apart."""

    timeout_s: float | None
    pause_s: float
    max_rounds: int | None
    between: Callable[[], object] | None


class ResultDecoder:
    """Reads Results and decodes what they hold.

    Args:
        store: stores the Results.
        decode: decodes with the app's result serializer.
        resolved: returns a decoded value with the values of its references.
        exception_of: builds an exception from Celery's encoded one; never imports a module for it.
        timezone: returns the app's time zone.
    """

    def __init__(
        self,
        store: Store,
        *,
        decode: Callable[[bytes], Any],
        resolved: Callable[[object], object],
        exception_of: Callable[[object], BaseException | None],
        timezone: Callable[[], tzinfo],
    ) -> None:
        self._store = store
        self._decode = decode
        self._resolved = resolved
        self._exception_of = exception_of
        self._timezone = timezone

    @property
    def timezone(self) -> tzinfo:
        """The app's time zone, in which Celery gives `date_done`."""
        return self._timezone()

    def fetch_metas(self, task_ids: Iterable[str]) -> list[TaskMeta]:
        """Return a meta for each known id, in one round trip."""
        asked = list(dict.fromkeys(task_ids))
        return [TaskMeta(found, self) for found in self._store.load_many(asked) if found is not None]

    def fetch_deletions(self, task_ids: Iterable[str]) -> list[TaskMeta]:
        """Return a meta for each deleted id: its waiters get TaskRevokedError."""
        asked = list(task_ids)
        return [TaskMeta(_as_revoked(one), self) for one in self._store.deleted_many(asked)] if asked else []

    def read_announcements(self, events: Iterable[Announcement]) -> list[TaskMeta]:
        """Return a meta for each announcement that carries a readable record."""
        return [TaskMeta(found, self) for found in map(_read_record, events) if found is not None]

    def poll_until_ready(
        self, task_ids: Iterable[str], plan: PollPlan, *, ready_states: frozenset[str]
    ) -> Iterator[TaskMeta]:
        """Yield each id's meta once it is ready: one round trip a round. Raises celery.exceptions.TimeoutError."""
        left = set(task_ids)
        end = math.inf if plan.timeout_s is None else time.monotonic() + plan.timeout_s
        looked = 0
        while left:
            metas = self.fetch_metas(left)
            unknown = left.difference(str(meta["task_id"]) for meta in metas)
            for meta in [*metas, *self.fetch_deletions(unknown)]:
                if meta["status"] in ready_states:
                    left.discard(str(meta["task_id"]))
                    yield meta
            looked += 1
            if not left or looked == plan.max_rounds:
                return
            if time.monotonic() >= end:
                raise CeleryTimeoutError(f"{len(left)} results were not ready after {plan.timeout_s} s")
            if plan.between is not None:
                plan.between()
            time.sleep(max(0.0, min(plan.pause_s, end - time.monotonic())))

    def load_whole(self, task_id: str) -> Result:
        """Load the Result with all that is stored next to its record. Raises ResultMissing."""
        found = self._store.load(task_id)
        if found is None:
            raise ResultMissing(
                f"result {task_id} is not stored any more: it expired or was forgotten; run the task again"
            )
        return found

    def decode_outcome(self, found: Result) -> object:
        """Return the decoded value, the exception, or the progress of a running task that has reported no value."""
        if found.value is None and found.failure is not None:
            return self._exception_of(encode_failure(found.failure))
        if found.value is None and found.progress is not None and not found.terminal:
            return progress_meta(found.progress)
        payload = self._store.value(found)
        value = None if payload is None else self._decode(payload)
        return self._exception_of(value) if found.state in states.EXCEPTION_STATES else self._resolved(value)

    def fetch_outcomes(self, task_ids: list[str]) -> list[object]:
        """Return the outcome of each id, with the records in one round trip. Raises ResultMissing."""
        found = self._store.load_many(task_ids)
        return [
            self.decode_outcome(one or self.load_whole(task_id)) for task_id, one in zip(task_ids, found, strict=True)
        ]

    def decode_extras(self, found: Result) -> Mapping[str, object]:
        """Return what the backend stores of a task beyond its record."""
        kept: dict[str, object] = self._decode(found.extra) if found.extra else {}
        return kept

    def resolve_arguments(self, kept: object) -> object:
        """Return the values of a task's stored arguments (`result_extended`); an unreadable one stays a reference."""
        try:
            if isinstance(kept, dict):
                return {name: self._resolved(one) for name, one in kept.items()}
            return self._resolved(kept)
        except ResultStoreError as error:
            _log.warning("arguments_not_read", error=repr(error))
            return kept


def _read_record(event: Announcement) -> Result | None:
    try:
        return record.decode(event.id, event.record, event.beside or None) if event.record else None
    except RecordUnreadable:  # any client that can publish can send anything
        return None
