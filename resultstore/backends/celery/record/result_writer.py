"""ResultWriter: stores one transition of a task, as Celery reports it."""

from typing import Any, Final

from celery import states
from celery.exceptions import BackendStoreError

from resultstore.backends.celery.capture.resolver import PLAIN
from resultstore.backends.celery.capture.return_value import returned_value
from resultstore.backends.celery.capture.task_arguments import run_arguments_of
from resultstore.backends.celery.record.conversion import failure_of, meta_to_result
from resultstore.backends.celery.record.legacy import LegacyRecords
from resultstore.backends.celery.record.progress_meta import read_progress
from resultstore.backends.celery.retry import is_worker, with_retries
from resultstore.backends.celery.task_owner import current_owner, owner_of
from resultstore.capture.run import sealed_record
from resultstore.model.errors import RecordUnreadable, ResultDeleted
from resultstore.model.ids import id_of
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt, possible_attempts

_REDIS_VALUE_MAX_BYTES: Final = 512 << 20


class ResultWriter:
    """Writes a task's record, and seals a value that is too large for it.

    Args:
        backend: encodes values, and names the store, how long records live and how often to try again.
        legacy: also writes what Celery's own backend would; None for our record alone.
    """

    def __init__(self, backend: Any, *, legacy: LegacyRecords | None) -> None:  # noqa: ANN401 - Celery's backends have no types
        self._backend = backend
        self._store = backend.store
        self._legacy = legacy

    @property
    def publishes_legacy(self) -> bool:
        """Whether the whole value is needed once more, after it was captured."""
        return self._legacy is not None

    def write(self, task_id: str, result: object, state: str, *, traceback: str | None, request: Any) -> None:  # noqa: ANN401 - Celery's Context
        """Write one transition. A success is never overwritten, and no other record is read for it."""
        backend = self._backend
        meta = backend._get_result_meta(result, state, traceback, request, format_date=False)  # noqa: SLF001 - Celery's own form
        if "args" in meta and (given := run_arguments_of(request)) is not None:  # with `result_extended`
            meta.update(args=given.references, kwargs=given.named_references)
        try:
            plain = getattr(request, "resultstore_sealed", None) or self._plain(
                task_id, result, state=state, request=request
            )
        except ResultDeleted:  # while it was made: nothing of it is stored
            return
        ttl_s = self._ttl_s(state, request)

        def save() -> bool:
            owner = self._owner(task_id, request)
            return bool(
                self._store.save(
                    meta_to_result(plain, meta, request, owner=owner, encoded=backend.encoded_extra), ttl_s=ttl_s
                )
            )

        # Celery's own retries, where `always_retry` is set, are around this; a web thread must not wait a minute.
        retries = not backend.always_retry and (is_worker(request) or "retry_policy" in backend.transport_options)
        written = with_retries(save, policy=backend.retry_policy) if retries else save()
        if written and self._legacy is not None:
            value = result
            if type(value) not in PLAIN:  # a reference, or a list of some; the value of most is at hand
                value = backend.encode_result(backend.resolve(returned_value(request, result)), state)
            self._legacy.publish(task_id, {**meta, "result": value}, request, ttl_s=ttl_s)

    def _plain(self, task_id: str, result: object, *, state: str, request: Any) -> Result:  # noqa: ANN401 - Celery's Context
        value = self._backend.encoded(result)
        if _is_own(task_id, request):
            request.resultstore_value_bytes = len(value)
        large = len(value) > self._store.settings.results.inline_max_bytes
        if large and state == states.SUCCESS and self._store.blobs is not None:
            attempt = Attempt(task_id, task=getattr(request, "task", None) or "", owner=self._owner(task_id, request))
            return sealed_record(self._store, attempt, value=value)
        if len(value) > _REDIS_VALUE_MAX_BYTES:
            raise BackendStoreError(
                f"the value of {task_id} is over 512 MB: set RESULTSTORE_BLOBS_URL to store it in an object store"
            )
        if state in states.EXCEPTION_STATES:
            return Result(id=task_id, value=value, failure=failure_of(result))
        return (
            _unfinished(task_id, result, state=state, value=value)
            if state != states.SUCCESS
            else Result(id=task_id, value=value)
        )

    def _owner(self, task_id: str, request: object) -> str:
        if _is_own(task_id, request):
            return owner_of(request)
        # The caller writes the state of another task (a chord's failure, `update_state`): its owner stays.
        try:
            found = self._store.index.peek(task_id)
        except RecordUnreadable:
            found = None
        return current_owner() if found is None else str(found.owner)

    def _ttl_s(self, state: str, request: object) -> int:
        life_s = self._backend.failure_expires if state == states.FAILURE else self._backend.expires
        # The body of a chord reads its header's results: they live as long as the chord does.
        in_header = bool(getattr(request, "chord", None))
        return int(self._backend.groups.header_life_s if in_header and life_s else life_s or 0)


def _unfinished(task_id: str, meta: object, *, state: str, value: bytes) -> Result:
    """Return the record of `Task.update_state`, with the progress in its meta and the parts of the running attempt."""
    progress = read_progress(meta)
    attempt = next((one for one in possible_attempts() if one.id == task_id), None)
    if attempt is None:
        return Result(id=task_id, value=value, progress=progress)
    attempt.value, attempt.progress = value, progress or attempt.progress
    return attempt.result(state)


def _is_own(task_id: str, request: Any) -> bool:  # noqa: ANN401 - Celery's Context
    """Return whether `request` is that of the task itself, and not of another task that writes its state."""
    return getattr(request, "id", None) is not None and id_of(request.id) == task_id
