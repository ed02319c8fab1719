"""CaptureMiddleware: stores large outputs inside the task's call, and seals them before the result is stored."""

import asyncio
import functools
import inspect
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context, copy_context
from typing import Any, Final

from taskiq import AsyncTaskiqDecoratedTask, TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.exceptions import NoResultError

from resultstore.backends.taskiq.attempt_outcome import AttemptOutcome, hand_over
from resultstore.backends.taskiq.backend import ResultStoreBackend
from resultstore.backends.taskiq.captured_call import CapturedCall, calling, current_call
from resultstore.backends.taskiq.return_types import is_captured
from resultstore.backends.taskiq.stream_drain import is_stream
from resultstore.backends.taskiq.thread_limit import ThreadLimit
from resultstore.capture.adapters import Adapter, Adapters
from resultstore.capture.run import still_wanted, unwanted_message
from resultstore.dispatch.pending import save_pending
from resultstore.index.index import Overwrite
from resultstore.model.errors import IndexUnavailable, ResultDeleted
from resultstore.model.headers import owner_in, set_default_owner
from resultstore.model.ids import id_of
from resultstore.model.result import Result, State
from resultstore.store.attempt import Attempt, current
from resultstore.telemetry.logs import Log

_log = Log(__name__)

Body = Callable[..., Any]

UPLOADS: Final = 32  # async tasks whose outputs are stored at the same time; others wait
_MARK: Final = "_resultstore_captured"
_SENT_AT: Final = "resultstore_sent_at"  # a label of the message


class CaptureMiddleware(TaskiqMiddleware):
    """Gives each delivery its own attempt, and wraps the task's function so that capture happens inside its call.

    In `post_execute` it would be too late: there the dependencies that a generator reads from are closed, the `timeout`
    label does not apply, and a generator that fails is not retried.

    Args:
        backend: the broker's result backend.
        adapters: write other objects that tasks return as files.
    """

    def __init__(self, backend: ResultStoreBackend[Any], *, adapters: Iterable[Adapter] = ()) -> None:
        super().__init__()
        self._backend = backend
        self.adapters = Adapters(adapters)
        # Not the loop's own threads: an async generator may need one of them while its own upload occupies another.
        self._threads = ThreadLimit(UPLOADS, name="resultstore")

    def startup(self) -> None:
        """Wrap the registered tasks."""
        for task in self.broker.get_all_tasks().values():
            self._prepare(task)

    async def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Write the PENDING record; while the index is away the task is sent without one.

        A message that names no owner gets the one of the running task's message. Raises ResultDeleted for an id that
        was deleted: its task could store nothing.
        """
        attempt = current()
        set_default_owner(message.labels, "" if attempt is None else attempt.owner)
        again = attempt is not None and attempt.id == id_of(message.task_id)
        message.labels[_SENT_AT] = str((again and attempt and attempt.created_at) or time.time())
        try:
            await asyncio.to_thread(self._save_pending, message)
        except IndexUnavailable as error:
            _log.warning("record_not_saved", id=message.task_id, state=State.PENDING, error=str(error))
        return message

    async def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Begin an attempt, to which all that the task stores belongs."""
        task = self.broker.find_task(message.task_name)
        if task is not None:
            self._prepare(task)
        attempt = Attempt(
            message.task_id,
            task=message.task_name,
            owner=owner_in(message.labels),
            retries=_resends(message),
            created_at=_sent_at(message),
        )
        message.labels.pop(_SENT_AT, None)  # tasks and readers see the labels that the sender wrote
        attempt.wanted = await asyncio.to_thread(still_wanted, self._backend.store, message.task_id)
        call = CapturedCall(attempt, self._backend, adapters=self.adapters)
        call.until_ended.enter_context(calling(call))
        return message

    async def post_execute(self, message: TaskiqMessage, result: "TaskiqResult[Any]") -> None:
        """End the attempt, and hand its outcome to `set_result`."""
        call = current_call()
        if call is None or call.attempt.id != message.task_id:
            return
        try:
            if not result.is_err and call.record is None:
                await self._finish_late(call, result)
            if result.is_err:
                await self._fail(call, message, result)
        finally:
            call.until_ended.close()
        hand_over(AttemptOutcome(result, call.attempt, call.record))

    def _save_pending(self, message: TaskiqMessage) -> None:
        store, ttl_s = self._backend.store, self._backend.result_expires_s
        owner = owner_in(message.labels)
        known = Result(id=id_of(message.task_id), task=message.task_name, owner=owner, created_at=_sent_at(message))
        if _resends(message):  # its task runs: an id that was deleted during the run is refused when it ends
            store.save(known, over=Overwrite.IF_ABSENT, ttl_s=ttl_s)
        else:
            save_pending(store, known, ttl_s=ttl_s)

    async def finish(self, call: CapturedCall, returned: object) -> object:
        """Store what an async task returned, and return what is sent on."""
        run = functools.partial(copy_context().run, call.finish, returned)
        return await asyncio.get_running_loop().run_in_executor(self._threads.pool, run)

    async def _finish_late(self, call: CapturedCall, result: "TaskiqResult[Any]") -> None:
        """Capture what came from a process pool, which does not know the attempt."""
        try:
            result.return_value = await self.finish(call, result.return_value)
        except Exception as error:  # noqa: BLE001 - a task may raise anything; the receiver does the same
            result.is_err, result.error, result.return_value = True, error, None

    async def _fail(self, call: CapturedCall, message: TaskiqMessage, result: "TaskiqResult[Any]") -> None:
        sealed = await asyncio.to_thread(call.give_up)
        again = isinstance(result.error, NoResultError)
        if sealed is not None and not again:
            # The timeout came after the outcome was sealed: the outcome is final, and every reader finds it.
            payload = await asyncio.to_thread(self._backend.store.value, sealed)
            result.is_err, result.error = False, None
            result.return_value = self._backend.codec.decoded(payload)
        elif again and _resends(message) > call.attempt.retries:
            retried = call.attempt.result(State.RETRY).moved(State.RETRY, artifacts=())
            await asyncio.to_thread(self._backend.store.save, retried, over=Overwrite.IF_UNFINISHED)

    def _prepare(self, task: "AsyncTaskiqDecoratedTask[..., Any]") -> None:
        body = task.original_func
        if getattr(body, _MARK, False):
            return
        if is_captured(task.return_type, adapters=self.adapters):
            task.return_type = None
        wrapped = _wrapped(body, task.task_name, self.finish)
        setattr(wrapped, _MARK, True)
        task.original_func = wrapped
        # A process pool finds functions by name, and must find the wrapped one.
        module = sys.modules.get(body.__module__)
        if getattr(module, body.__name__, None) is body:
            setattr(module, body.__name__, wrapped)


def _wrapped(body: Body, task: str, finish: Callable[[CapturedCall, object], Awaitable[object]]) -> Body:
    if inspect.iscoroutinefunction(body):

        @functools.wraps(body)
        async def run(*args: object, **kwargs: object) -> object:
            call = _take_call(task)
            returned = await body(*args, **kwargs)
            return returned if call is None else await finish(call, returned)

        return run

    async def awaited(call: CapturedCall, returned: object) -> object:
        return await finish(call, await returned if inspect.isawaitable(returned) else returned)

    @functools.wraps(body)
    def run_in_thread(*args: object, **kwargs: object) -> object:
        call = current_call()
        if call is not None and call.is_forked_copy:
            # A process of a pool was forked in the middle of some call, which has nothing to do with this task.
            return Context().run(body, *args, **kwargs)
        call = _take_call(task)
        returned = body(*args, **kwargs)
        if call is None:
            return returned
        # The receiver awaits what a thread returns, so a value that needs the event loop is finished there.
        return (
            awaited(call, returned) if inspect.isawaitable(returned) or is_stream(returned) else call.finish(returned)
        )

    return run_in_thread


def _take_call(task: str) -> CapturedCall | None:
    """Return the receiver's call of `task`. Raises ResultDeleted for a task that was cancelled or deleted."""
    call = current_call()
    if call is None or not call.take(task):
        return None
    if not call.attempt.wanted:
        raise ResultDeleted(unwanted_message(call.attempt.id))
    return call


def _sent_at(message: TaskiqMessage) -> float | None:
    """Return when a message was first sent, in epoch seconds; None if its sender has not this package."""
    try:
        return float(message.labels[_SENT_AT])
    except (KeyError, TypeError, ValueError):
        return None


def _resends(message: TaskiqMessage) -> int:
    """Return how often the message was sent again, as taskiq's retry middlewares and `Context.requeue` count it."""
    return sum(int(message.labels.get(name, 0)) for name in ("_retries", "X-Taskiq-requeue"))
