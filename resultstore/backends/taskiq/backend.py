"""ResultStoreBackend: taskiq's result backend over a Store."""

import asyncio
import time
import traceback
from typing import TypeVar

from taskiq import AsyncResultBackend, TaskiqResult
from taskiq.abc.serializer import TaskiqSerializer
from taskiq.depends.progress_tracker import TaskProgress

from resultstore.backends.taskiq import attempt_outcome, side_record
from resultstore.backends.taskiq.side_record import SideRecord
from resultstore.backends.taskiq.value_codec import ValueCodec
from resultstore.backends.taskiq.woken_tasks import Waiters
from resultstore.connect import connect
from resultstore.index.index import Overwrite
from resultstore.model.errors import ResultMissing, WrongType
from resultstore.model.ids import id_of
from resultstore.model.result import Failure, Progress, Result, State
from resultstore.store import Store
from resultstore.store.attempt import Attempt, current

Returned = TypeVar("Returned")

OWNER = "resultstore_owner"
"""The message's label that names who owns its Result."""


class ResultStoreBackend(AsyncResultBackend[Returned]):
    """State and small values in the index, large values and Artifacts in the object store.

    Args:
        store: by default the one that the RESULTSTORE_* variables describe.
        serializer: writes plain values; by default taskiq's JSON. Pickle is refused with Misconfigured.
        result_expires_s: seconds that a record lives; by default `Settings.result_expires_s`.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        serializer: TaskiqSerializer | None = None,
        result_expires_s: int | None = None,
    ) -> None:
        self.store = connect() if store is None else store
        self.encoding = ValueCodec(serializer)
        self.waiters = Waiters(self.store)
        self._ttl_s = result_expires_s

    async def set_result(self, task_id: str, result: "TaskiqResult[Returned]") -> None:
        """Write down how a task ended. Raises WrongType, after it has told the caller, for a value that is not JSON."""
        try:
            await self._write(task_id, result)
        except WrongType as error:
            # taskiq logs this and acknowledges: without any result the caller would wait for ever.
            failed = {"is_err": True, "error": error, "return_value": None}
            await self._write(task_id, result.model_copy(update=failed))
            raise

    async def is_result_ready(self, task_id: str) -> bool:
        """Whether it has ended; reads no value, whatever its size."""
        found = await asyncio.to_thread(self.store.peek, task_id)
        return found is not None and found.terminal

    async def get_result(self, task_id: str, with_logs: bool = False) -> "TaskiqResult[Returned]":  # noqa: FBT001, FBT002 - taskiq's signature
        """How a task ended.

        Raises ResultMissing while it has not, ArtifactExpired when its value is not kept any more.
        """
        return await asyncio.to_thread(self._read, task_id, with_logs=with_logs)

    async def set_progress(self, task_id: str, progress: "TaskProgress[object]") -> None:
        """Show how far a task is: to `get_progress`, and in the record where `meta` has a number `done`."""
        extra = side_record.written(side_record.of_progress(progress), self.encoding)
        await asyncio.to_thread(self._show, task_id, extra, side_record.counted(progress.meta))

    async def get_progress(self, task_id: str) -> "TaskProgress[object] | None":
        """What was set last, by `set_progress` or by `store.progress`; also when the task has ended."""
        found = await asyncio.to_thread(self.store.load, task_id)
        if found is None:
            return None
        shown = side_record.read(found, self.encoding).task_progress()
        if shown is not None or found.progress is None:
            return shown
        done = found.progress
        return TaskProgress(state=found.state, meta={"done": done.done, "total": done.total, "note": done.note})

    def announce(self, task_id: str, *, task: str, owner: str = "") -> bool:
        """Write the PENDING record at dispatch, so that polls of known work never ask the object store.

        Whether it was written: no record of this id was there, and no tombstone.
        """
        known = Result(id=id_of(task_id), task=task, owner=owner, created_at=time.time())
        return self.store.save(known, over=Overwrite.IF_ABSENT, ttl_s=self._ttl_s)

    def outcome(self, attempt: Attempt, payload: bytes) -> Result:
        """How `attempt` ends with its encoded value: sealed where there is something to outlive Redis.

        Where another attempt was first, the outcome is that one's. Errors are those of `Store.seal`.
        """
        limit_bytes = self.store.settings.results.inline_max_bytes
        ended = attempt.result(State.SUCCESS).moved(State.SUCCESS, value=payload)
        if self.store.blobs is None or not (attempt.artifacts or len(payload) > limit_bytes):
            return ended
        sealed = self.store.seal(attempt, value=payload)
        value = sealed.value if sealed.value is not None and len(sealed.value) <= limit_bytes else None
        return sealed.moved(sealed.state, value=value, worker=ended.worker, retries=ended.retries)

    async def _write(self, task_id: str, result: "TaskiqResult[Returned]") -> None:
        ended = attempt_outcome.of(result)
        attempt = _attempt(task_id, result) if ended is None else ended.attempt
        running = Result(id=task_id, extra=attempt.extra)
        beside = side_record.told(result, progress=side_record.read(running, self.encoding).progress)
        record = None if ended is None else ended.record
        await asyncio.to_thread(self._save, attempt, result, beside=beside, record=record)

    def _save(
        self, attempt: Attempt, result: "TaskiqResult[Returned]", *, beside: SideRecord, record: Result | None
    ) -> None:
        if not attempt.wanted:
            return
        if result.is_err:
            record = _failed(attempt, result.error)
        elif record is None:
            record = self.outcome(attempt, self.encoding.encoded(result.return_value))
        ended = record.moved(
            record.state,
            ended_at=time.time(),
            progress=attempt.progress,
            extra=side_record.written(beside, self.encoding),
        )
        self.store.save(ended, ttl_s=self._ttl_s)

    def _read(self, task_id: str, *, with_logs: bool) -> "TaskiqResult[Returned]":
        found = self.store.load(task_id)
        if found is None or not found.terminal:
            state = State.PENDING if found is None else found.state
            raise ResultMissing(f"result {task_id} is {state}: await its wait_result, or ask is_ready before")
        beside = side_record.read(found, self.encoding)
        failed = found.state != State.SUCCESS
        return TaskiqResult(
            is_err=failed,
            log=beside.log if with_logs else None,
            return_value=None if failed else self.encoding.decoded(self.store.value(found)),
            execution_time=found.run_time_s or 0.0 if beside.execution_time is None else beside.execution_time,
            labels=beside.parsed_labels(),
            error=side_record.error_of(found, beside) if failed else None,
        )

    def _show(self, task_id: str, extra: bytes, progress: Progress | None) -> None:
        task_id, running = id_of(task_id), current()
        if running is not None and running.id == task_id:
            running.extra, running.progress = extra, progress or running.progress
            self.store.save(running.result(), ttl_s=self._ttl_s)
            return
        known = self.store.load(task_id) or Result(id=task_id)
        shown = known.moved(State.PROGRESS, extra=extra, progress=progress or known.progress)
        self.store.save(shown, over=Overwrite.IF_UNFINISHED, ttl_s=self._ttl_s)


def _attempt(task_id: str, result: "TaskiqResult[Returned]") -> Attempt:
    """The attempt that made `result`, where no middleware has seen it."""
    owner = result.labels.get(OWNER, "")
    attempt = Attempt(task_id, owner=owner if isinstance(owner, str) else "")
    attempt.started_at -= result.execution_time
    return attempt


def _failed(attempt: Attempt, error: BaseException | None) -> Result:
    failure = None if error is None else Failure.of(error, name=type(error).__qualname__)
    told = "" if error is None else "".join(traceback.format_exception(error))
    # Its parts were never sealed and are deleted.
    return attempt.result(State.FAILURE).moved(State.FAILURE, failure=failure, traceback=told, artifacts=())
