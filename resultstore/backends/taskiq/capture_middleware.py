"""Capturing: a middleware that stores large outputs inside the task call, and seals them before the result is set."""

import asyncio
import functools
import inspect
import sys
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any, Final

from taskiq import AsyncTaskiqDecoratedTask, TaskiqMessage, TaskiqMiddleware, TaskiqResult
from taskiq.exceptions import NoResultError

from resultstore.backends.taskiq import attempt_outcome
from resultstore.backends.taskiq.attempt_outcome import AttemptOutcome
from resultstore.backends.taskiq.backend import OWNER, ResultStoreBackend
from resultstore.backends.taskiq.captured_call import CapturedCall, called, calling
from resultstore.backends.taskiq.return_types import is_captured
from resultstore.backends.taskiq.stream_drain import is_stream
from resultstore.backends.taskiq.thread_limit import ThreadLimit
from resultstore.capture.run import still_wanted
from resultstore.index.index import Overwrite
from resultstore.model.errors import IndexUnavailable, ResultDeleted
from resultstore.model.result import State
from resultstore.store import Store
from resultstore.store.attempt import Attempt, current
from resultstore.telemetry.logs import Log

_log = Log(__name__)

Body = Callable[..., Any]

UPLOADS: Final = 32  # async tasks whose outputs are stored at the same time; others wait
_MARK: Final = "_resultstore_captured"


class CaptureMiddleware(TaskiqMiddleware):
    """Gives each delivery an attempt of its own, and wraps the task's function so that capture happens inside its call.

    Inside, not in `post_execute`: dependencies that a generator reads from are still open, the `timeout` label holds,
    and a generator that fails is retried like a task that fails.

    Args:
        backend: the broker's result backend.
    """

    def __init__(self, backend: ResultStoreBackend[Any]) -> None:
        super().__init__()
        self._backend = backend
        # Not the loop's own threads: what an async generator asks of those must not wait behind its own upload.
        self._threads = ThreadLimit(UPLOADS, name="resultstore")

    def startup(self) -> None:
        """Wrap the tasks that are known."""
        for task in self.broker.get_all_tasks().values():
            self._prepare(task)

    async def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Write the PENDING record; without the index the task is sent all the same.

        Raises ResultDeleted for an id that was deleted: work of that id would store nothing.
        What a running task sends belongs to the owner of its own message.
        """
        attempt = current()
        if attempt is not None and attempt.owner:
            message.labels.setdefault(OWNER, attempt.owner)
        announce = functools.partial(self._backend.announce, task=message.task_name, owner=_owner(message))
        try:
            written = await asyncio.to_thread(announce, message.task_id)
            if not written and not _sendings(message) and await self._asked(Store.was_deleted, message):
                raise ResultDeleted.of(message.task_id)
        except IndexUnavailable as error:
            _log.warning("record_not_saved", id=message.task_id, state=State.PENDING, error=str(error))
        return message

    async def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Begin an attempt: what the task stores from here on belongs to it."""
        task = self.broker.find_task(message.task_name)
        if task is not None:
            self._prepare(task)
        attempt = Attempt(message.task_id, task=message.task_name, owner=_owner(message), retries=_sendings(message))
        attempt.wanted = await self._asked(still_wanted, message)
        call = CapturedCall(attempt, self._backend)
        call.until_ended.enter_context(calling(call))
        return message

    async def post_execute(self, message: TaskiqMessage, result: "TaskiqResult[Any]") -> None:
        """End the attempt, and tell `set_result` how."""
        call = called()
        if call is None or call.attempt.id != message.task_id:
            return
        try:
            if not result.is_err and call.record is None:
                await self._finish_late(call, result)
            if result.is_err:
                await self._fail(call, message, result)
        finally:
            call.until_ended.close()
        attempt_outcome.hand_over(AttemptOutcome(result, call.attempt, call.record))

    async def _asked(self, question: Callable[[Store, str], bool], message: TaskiqMessage) -> bool:
        return await asyncio.to_thread(question, self._backend.store, message.task_id)

    async def finish(self, call: CapturedCall, returned: object) -> object:
        """What travels in the place of what an async task returned."""
        run = functools.partial(copy_context().run, call.finish, returned)
        return await asyncio.get_running_loop().run_in_executor(self._threads.pool, run)

    async def _finish_late(self, call: CapturedCall, result: "TaskiqResult[Any]") -> None:
        """Capture what came from a process pool, where nothing is known of the attempt."""
        try:
            result.return_value = await self.finish(call, result.return_value)
        except Exception as error:  # noqa: BLE001 - as the receiver does with whatever a task raises
            result.is_err, result.error, result.return_value = True, error, None

    async def _fail(self, call: CapturedCall, message: TaskiqMessage, result: "TaskiqResult[Any]") -> None:
        sealed = await asyncio.to_thread(call.give_up)
        again = isinstance(result.error, NoResultError)
        if sealed is not None and not again:
            # The time was over when the outcome stood already: it is final, and everybody will find it.
            payload = await asyncio.to_thread(self._backend.store.value, sealed)
            result.is_err, result.error = False, None
            result.return_value = self._backend.encoding.decoded(payload)
        elif again and _sendings(message) > call.attempt.retries:
            retried = call.attempt.result(State.RETRY).moved(State.RETRY, artifacts=())
            await asyncio.to_thread(self._backend.store.save, retried, over=Overwrite.IF_UNFINISHED)

    def _prepare(self, task: "AsyncTaskiqDecoratedTask[..., Any]") -> None:
        body = task.original_func
        if getattr(body, _MARK, False):
            return
        if is_captured(task.return_type):
            task.return_type = None
        wrapped = _wrapped(body, task.task_name, self.finish)
        setattr(wrapped, _MARK, True)
        task.original_func = wrapped
        # A process pool finds functions by name, and wants to find the one that it was given.
        module = sys.modules.get(body.__module__)
        if getattr(module, body.__name__, None) is body:
            setattr(module, body.__name__, wrapped)


def _wrapped(body: Body, task: str, finish: Callable[[CapturedCall, object], Awaitable[object]]) -> Body:
    if inspect.iscoroutinefunction(body):

        @functools.wraps(body)
        async def run(*args: object, **kwargs: object) -> object:
            call = _taken(task)
            returned = await body(*args, **kwargs)
            return returned if call is None else await finish(call, returned)

        return run

    async def awaited(call: CapturedCall, returned: object) -> object:
        return await finish(call, await returned if inspect.isawaitable(returned) else returned)

    @functools.wraps(body)
    def run_in_thread(*args: object, **kwargs: object) -> object:
        call = called()
        if call is not None and call.foreign:
            # A process of a pool was forked in the middle of some call: that one is nothing to this task.
            return Context().run(body, *args, **kwargs)
        call = _taken(task)
        returned = body(*args, **kwargs)
        if call is None:
            return returned
        # The receiver awaits what an executor gives it, so what needs the loop is finished from there.
        return (
            awaited(call, returned) if inspect.isawaitable(returned) or is_stream(returned) else call.finish(returned)
        )

    return run_in_thread


def _taken(task: str) -> CapturedCall | None:
    """The receiver's call of `task`. Raises ResultDeleted where it was cancelled or deleted before it began."""
    call = called()
    if call is None or not call.take(task):
        return None
    if not call.attempt.wanted:
        raise ResultDeleted(f"{call.attempt.id} was cancelled or deleted while it waited: it is not run")
    return call


def _owner(message: TaskiqMessage) -> str:
    owner = message.labels.get(OWNER, "")
    return owner if isinstance(owner, str) else ""


def _sendings(message: TaskiqMessage) -> int:
    """How often the message was sent again: taskiq's retry middlewares and `Context.requeue` count in its labels."""
    return sum(int(message.labels.get(name, 0)) for name in ("_retries", "X-Taskiq-requeue"))
