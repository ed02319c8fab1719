"""WokenTask: a sent task whose `wait_result` is woken by the announcement, where taskiq itself would poll."""

import asyncio
import time
from typing import Any, Final, ParamSpec, TypeVar

from taskiq import AsyncTaskiqDecoratedTask, AsyncTaskiqTask, TaskiqResult
from taskiq.exceptions import TaskiqResultTimeoutError
from taskiq.kicker import AsyncKicker

from resultstore.backends.taskiq.return_types import is_captured
from resultstore.backends.taskiq.thread_limit import ThreadLimit
from resultstore.store import Store

Params = ParamSpec("Params")
Returned = TypeVar("Returned")

WAITERS: Final = 64  # at most these are woken; further ones poll, as taskiq does by itself
SLICE_S: Final = 1.0  # how long a thread keeps waiting for a waiter that was cancelled


class Waiters:
    """The threads that wait for announcements.

    Args:
        store: where results are announced.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads = ThreadLimit(WAITERS, name="resultstore-wait")

    async def ready(self, task_id: str, *, timeout_s: float, poll_s: float) -> bool:
        """Return whether there is a result within `timeout_s`, or after `poll_s` when no thread is free."""
        free = self._threads.free
        if not free.acquire(blocking=False):
            await asyncio.sleep(min(timeout_s, poll_s))
            found = await asyncio.to_thread(self._store.peek, task_id)
            return found is not None and found.terminal
        try:
            waiting = self._threads.pool.submit(self._waited, task_id, timeout_s)
        except BaseException:  # the process ends
            free.release()
            raise
        waiting.add_done_callback(lambda _: free.release())
        return await asyncio.wrap_future(waiting)

    def _waited(self, task_id: str, timeout_s: float) -> bool:
        try:
            self._store.wait(task_id, timeout_s=timeout_s)
        except TimeoutError:
            return False
        return True


class WokenTask(AsyncTaskiqTask[Returned]):
    """A sent task whose `wait_result` is woken by the announcement."""

    async def wait_result(
        self,
        check_interval: float = 0.2,
        timeout: float = -1.0,  # noqa: ASYNC109 - taskiq's signature
        with_logs: bool = False,  # noqa: FBT001, FBT002 - the same
    ) -> "TaskiqResult[Returned]":
        """Wait for the result, and return it as soon as it is announced.

        Args:
            check_interval: seconds between polls, for a waiter that found no free thread.
            timeout: seconds; 0 or less waits without limit.
            with_logs: whether to return the log too.

        Raises:
            taskiq.TaskiqResultTimeoutError: there was no result within `timeout`.
        """
        end = time.monotonic() + timeout if timeout > 0 else None
        waiters: Waiters = self.result_backend.waiters  # type: ignore[attr-defined]  # setup has checked it
        while True:
            slice_s = SLICE_S if end is None else min(SLICE_S, max(0.0, end - time.monotonic()))
            if await waiters.ready(self.task_id, timeout_s=slice_s, poll_s=check_interval):
                return await self.get_result(with_logs=with_logs)
            if end is not None and time.monotonic() >= end:
                raise TaskiqResultTimeoutError(timeout=timeout)


class WokenKicker(AsyncKicker[Params, Returned]):
    """Sends a task and returns a WokenTask."""

    async def kiq(self, *args: Params.args, **kwargs: Params.kwargs) -> Any:  # noqa: ANN401 - taskiq's overloads
        """Send the task with these arguments, and return its WokenTask."""
        sent = await super().kiq(*args, **kwargs)
        return WokenTask(sent.task_id, sent.result_backend, sent.return_type)


class WokenDecoratedTask(AsyncTaskiqDecoratedTask[Params, Returned]):
    """A task as `@broker.task` makes it after `setup`."""

    def kicker(self) -> AsyncKicker[Params, Returned]:
        """Return a sender of this task; labels that it gets, such as an owner, apply to one message only."""
        returns = None if is_captured(self.return_type) else self.return_type
        return WokenKicker(self.task_name, self.broker, dict(self.labels), returns)
