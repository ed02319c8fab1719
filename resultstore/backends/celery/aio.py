"""Aio: Celery's results for coroutines. `await get(task.delay())`."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

import msgspec
from celery import states
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult, ResultSet

from resultstore.backends.celery.record.meta import TaskMeta
from resultstore.model.errors import Misconfigured, ResultStoreError
from resultstore.model.ids import id_of


class GroupProgress(msgspec.Struct, frozen=True):
    """How far a group is.

    Args:
        total: how many tasks it has.
        succeeded: how many of them are in SUCCESS.
        failed: how many are in another terminal state.
    """

    total: int
    succeeded: int
    failed: int

    @property
    def ended(self) -> int:
        """How many have ended, well or not."""
        return self.succeeded + self.failed

    @property
    def percent(self) -> float:
        """How much of it has ended, from 0 to 100; 100 for an empty group."""
        return 100.0 * self.ended / self.total if self.total else 100.0


async def get(result: AsyncResult | ResultSet, *, timeout_s: float | None = None, propagate: bool = True) -> Any:  # noqa: ANN401 - what the task returned
    """What a task returned, or the list of what the tasks of a group did, once they have ended.

    Waiting costs no thread: one thread of the process hears for all coroutines.

    Args:
        result: of an app whose results are kept by resultstore.
        timeout_s: None waits for ever.
        propagate: False gives an error as the value instead of raising it.

    Raises celery.exceptions.TimeoutError, the task's own error, and IndexUnavailable when Redis stays away for 30 s.
    """
    if isinstance(result, AsyncResult):
        return (await _values([result], timeout_s, propagate=propagate))[result.id]
    return _shaped(result, await _values(list(_leaves(result)), timeout_s, propagate=propagate))


async def as_ended(
    results: Sequence[AsyncResult] | ResultSet, *, timeout_s: float | None = None, propagate: bool = True
) -> AsyncGenerator[tuple[AsyncResult, Any], None]:
    """Each result with its value, in the order in which the tasks end.

    Args:
        results: AsyncResults, or a group with all that stands in it; of one app.
        timeout_s: for all of them together; None waits for ever.
        propagate: False gives an error as the value instead of raising it.

    Raises as `get` does.
    """
    wanted = {id_of(one.id): one for one in _leaves(results)}
    if not wanted:
        return
    told: asyncio.Queue[tuple[str, TaskMeta | ResultStoreError]] = asyncio.Queue()
    loop, end = asyncio.get_running_loop(), None if timeout_s is None else time.monotonic() + timeout_s

    def tell(task_id: str, said: TaskMeta | ResultStoreError) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(told.put_nowait, (task_id, said))

    notifier = _backend(next(iter(wanted.values()))).notifier.get()
    notifier.enter(wanted, tell)
    try:
        for _ in range(len(wanted)):
            try:
                async with asyncio.timeout(None if end is None else max(0.0, end - time.monotonic())):
                    task_id, said = await told.get()
            except TimeoutError as error:
                raise CeleryTimeoutError(f"{len(wanted)} results were not ready after {timeout_s} s") from error
            if isinstance(said, ResultStoreError):
                raise said
            one = wanted.pop(task_id)
            yield one, await asyncio.to_thread(_value, one, said, propagate=propagate)
    finally:
        notifier.leave(wanted, tell)


async def state(result: AsyncResult) -> str:
    """The state; no value is read, whatever its size."""
    backend = _backend(result)
    said: str = await asyncio.to_thread(backend.get_state, result.id)
    return said


async def completion(group: ResultSet) -> GroupProgress:
    """How far a group is, in one round trip for up to 1,000 tasks: no value is read."""
    return await asyncio.to_thread(completion_of, group)


def completion_of(group: ResultSet) -> GroupProgress:
    """The same without a loop: `GroupResult.completed_count()` asks for each task by itself."""
    ids = [id_of(one.id) for one in _leaves(group)]
    if not ids:
        return GroupProgress(0, 0, 0)
    found = _backend(next(_leaves(group))).store.peek_many(ids)
    succeeded = sum(one is not None and one.state == states.SUCCESS for one in found)
    return GroupProgress(len(ids), succeeded, sum(one is not None and one.terminal for one in found) - succeeded)


async def _values(results: Sequence[AsyncResult], timeout_s: float | None, *, propagate: bool) -> dict[str, Any]:
    async with contextlib.aclosing(as_ended(results, timeout_s=timeout_s, propagate=propagate)) as ended:
        return {one.id: value async for one, value in ended}


def _leaves(results: Sequence[AsyncResult] | ResultSet) -> Iterator[AsyncResult]:
    for one in results.results if isinstance(results, ResultSet) else results:
        if isinstance(one, ResultSet):
            yield from _leaves(one)
        else:
            yield one


def _shaped(result: ResultSet, values: dict[str, Any]) -> list[Any]:
    return [_shaped(one, values) if isinstance(one, ResultSet) else values[one.id] for one in result.results]


def _value(result: AsyncResult, meta: TaskMeta, *, propagate: bool) -> Any:  # noqa: ANN401 - what the task returned
    result._maybe_set_cache(meta)  # noqa: SLF001 - what Celery's own waiting does with a meta
    return result.get(propagate=propagate, disable_sync_subtasks=False)


def _backend(result: AsyncResult) -> Any:  # noqa: ANN401 - Celery's backends have no types
    if not hasattr(result.backend, "notifier"):
        raise Misconfigured("the app's result backend is not resultstore: set it to resultstore+redis://host:6379/0")
    return result.backend
