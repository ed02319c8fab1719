"""ResultStoreBackend: taskiq's result backend on top of a Store."""

import asyncio
import time
import traceback
from typing import TypeVar

from taskiq import AsyncResultBackend, TaskiqResult
from taskiq.abc.serializer import TaskiqSerializer
from taskiq.depends.progress_tracker import TaskProgress

from resultstore.backends.taskiq.attempt_outcome import outcome_of
from resultstore.backends.taskiq.side_record import SideRecord, counted_progress
from resultstore.backends.taskiq.value_codec import ValueCodec
from resultstore.backends.taskiq.woken_tasks import Waiters
from resultstore.capture.run import sealed_record
from resultstore.connect import connect
from resultstore.index.index import Overwrite
from resultstore.model.errors import ResultMissing, WrongType
from resultstore.model.headers import owner_in
from resultstore.model.ids import id_of
from resultstore.model.result import Failure, Progress, Result, State
from resultstore.store import Store
from resultstore.store.attempt import Attempt, current

Returned = TypeVar("Returned")


class ResultStoreBackend(AsyncResultBackend[Returned]):
    """Stores state and small values in the index, and large values and Artifacts in the object store.

    Args:
        store: where results are kept; by default `resultstore.connect()`.
        serializer: writes plain values; by default taskiq's JSON. Raises Misconfigured for pickle.
        result_expires_s: seconds that a record is kept; by default `settings.results.expires_s`.
    """

    def __init__(
        self,
        store: Store | None = None,
        *,
        serializer: TaskiqSerializer | None = None,
        result_expires_s: int | None = None,
    ) -> None:
        self.store = connect() if store is None else store
        self.codec = ValueCodec(serializer)
        self.waiters = Waiters(self.store)
        self.result_expires_s = result_expires_s

    async def set_result(self, task_id: str, result: "TaskiqResult[Returned]") -> None:
        """Store how a task ended. For a value that is not JSON, store a failure and raise WrongType."""
        try:
            await self._write(task_id, result)
        except WrongType as error:
            # taskiq logs the error and acknowledges the message: without a result the caller would wait forever.
            failed = {"is_err": True, "error": error, "return_value": None}
            await self._write(task_id, result.model_copy(update=failed))
            raise

    async def is_result_ready(self, task_id: str) -> bool:
        """Return whether the task has ended. Reads no value, whatever its size."""
        found = await asyncio.to_thread(self.store.peek, task_id)
        return found is not None and found.terminal

    async def get_result(self, task_id: str, with_logs: bool = False) -> "TaskiqResult[Returned]":  # noqa: FBT001, FBT002 - taskiq's signature
        """Return how a task ended.

        Raises ResultMissing while it has not, ArtifactExpired when the retention of its value is over.
        """
        return await asyncio.to_thread(self._read, task_id, with_logs=with_logs)

    async def set_progress(self, task_id: str, progress: "TaskProgress[object]") -> None:
        """Store how far a task is, for `get_progress`; and in the record where `meta` has a number `done`."""
        extra = SideRecord.of_progress(progress).encoded(self.codec)
        await asyncio.to_thread(self._show, task_id, extra, counted_progress(progress.meta))

    async def get_progress(self, task_id: str) -> "TaskProgress[object] | None":
        """Return what `set_progress` or `store.progress` set last, also when the task has ended."""
        found = await asyncio.to_thread(self.store.load, task_id)
        if found is None:
            return None
        shown = SideRecord.read(found, self.codec).task_progress()
        if shown is not None or found.progress is None:
            return shown
        done = found.progress
        return TaskProgress(state=found.state, meta={"done": done.done, "total": done.total, "note": done.note})

    def outcome(self, attempt: Attempt, payload: bytes) -> Result:
        """Return the Result of `attempt` with its encoded value, sealed when it has Artifacts or a large value.

        If another attempt has sealed this id, its outcome is returned. Raises what `Store.seal` raises.
        """
        limit_bytes = self.store.settings.results.inline_max_bytes
        ended = attempt.result(State.SUCCESS).moved(State.SUCCESS, value=payload)
        if self.store.blobs is None or not (attempt.artifacts or len(payload) > limit_bytes):
            return ended
        sealed = sealed_record(self.store, attempt, value=payload)
        created_at = sealed.created_at or ended.created_at
        return sealed.moved(sealed.state, created_at=created_at, worker=ended.worker, retries=ended.retries)

    async def _write(self, task_id: str, result: "TaskiqResult[Returned]") -> None:
        outcome = outcome_of(result)
        attempt = _attempt_of(task_id, result) if outcome is None else outcome.attempt
        running = SideRecord.read(Result(id=task_id, extra=attempt.extra), self.codec)
        side = SideRecord.of_result(result, progress=running.progress)
        record = None if outcome is None else outcome.record
        await asyncio.to_thread(self._save, attempt, result, side=side, record=record)

    def _save(
        self, attempt: Attempt, result: "TaskiqResult[Returned]", *, side: SideRecord, record: Result | None
    ) -> None:
        if not attempt.wanted:
            return
        if result.is_err:
            record = _failed(attempt, result.error)
        elif record is None:
            record = self.outcome(attempt, self.codec.encoded(result.return_value))
        ended = record.moved(
            record.state,
            ended_at=time.time(),
            progress=attempt.progress,
            extra=side.encoded(self.codec),
        )
        self.store.save(ended, ttl_s=self.result_expires_s)

    def _read(self, task_id: str, *, with_logs: bool) -> "TaskiqResult[Returned]":
        found = self.store.load(task_id)
        if found is None or not found.terminal:
            state = State.PENDING if found is None else found.state
            raise ResultMissing(f"result {task_id} is {state}: await its wait_result, or check is_ready first")
        side = SideRecord.read(found, self.codec)
        failed = found.state != State.SUCCESS
        return TaskiqResult(
            is_err=failed,
            log=side.log if with_logs else None,
            return_value=None if failed else self.codec.decoded(self.store.value(found)),
            execution_time=found.run_time_s or 0.0 if side.execution_time is None else side.execution_time,
            labels=side.parsed_labels(),
            error=side.error_of(found) if failed else None,
        )

    def _show(self, task_id: str, extra: bytes, progress: Progress | None) -> None:
        task_id, running = id_of(task_id), current()
        if running is not None and running.id == task_id:
            running.extra, running.progress = extra, progress or running.progress
            self.store.save(running.result(), ttl_s=self.result_expires_s)
            return
        known = self.store.load(task_id) or Result(id=task_id)
        shown = known.moved(State.PROGRESS, extra=extra, progress=progress or known.progress)
        self.store.save(shown, over=Overwrite.IF_UNFINISHED, ttl_s=self.result_expires_s)


def _attempt_of(task_id: str, result: "TaskiqResult[Returned]") -> Attempt:
    """Return an attempt for `result`, where no middleware has seen its task."""
    attempt = Attempt(task_id, owner=owner_in(result.labels))
    attempt.started_at -= result.execution_time
    return attempt


def _failed(attempt: Attempt, error: BaseException | None) -> Result:
    failure = None if error is None else Failure.of(error, name=type(error).__qualname__)
    trace = "" if error is None else "".join(traceback.format_exception(error))
    # Its parts were not sealed, and are deleted.
    return attempt.result(State.FAILURE).moved(State.FAILURE, failure=failure, traceback=trace, artifacts=())
