"""Aio: Celery's results for coroutines: `await get(task.delay())`."""

import asyncio
import contextlib
import time
import warnings
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Any

import msgspec
from celery import states
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult, ResultSet

from resultstore.backends.celery.capture.other_backend import NOT_RESULTSTORE
from resultstore.backends.celery.record.meta import TaskMeta
from resultstore.model.errors import Misconfigured, ResultStoreError
from resultstore.model.ids import id_of


class GroupProgress(msgspec.Struct, frozen=True):
    """The progress of a group.

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
        """How many have ended, in success or failure."""
        return self.succeeded + self.failed

    @property
    def percent(self) -> float:
        """The share of the group that has ended, from 0 to 100; 100 for an empty group."""
        return 100.0 * self.ended / self.total if self.total else 100.0


async def get(result: AsyncResult | ResultSet, *, timeout_s: float | None = None, propagate: bool = True) -> Any:  # noqa: ANN401 - what the task returned
    """Wait until a task, or each task of a group, has ended; return its value, or the list of their values.

    Waiting takes no thread of its own: one listener thread a process serves all coroutines.

    Args:
        result: of an app whose results are kept by resultstore.
        timeout_s: None waits without a limit.
        propagate: False returns an error as the value instead of raising it.

    Raises celery.exceptions.TimeoutError, the task's own error, and IndexUnavailable when Redis stays away for 30 s.
    """
    if isinstance(result, AsyncResult):
        return (await _values([result], timeout_s, propagate=propagate))[result.id]
    return _shaped(result, await _values(list(_leaves(result)), timeout_s, propagate=propagate))


async def as_completed(
    results: Sequence[AsyncResult] | ResultSet, *, timeout_s: float | None = None, propagate: bool = True
) -> AsyncGenerator[tuple[AsyncResult, Any], None]:
    """Yield each result with its value, in the order in which the tasks end.

    Args:
        results: AsyncResults, or a group with nested groups; of one app.
        timeout_s: for all of them together; None waits without a limit.
        propagate: False returns an error as the value instead of raising it.

    Raises as `get` does.
    """
    wanted = {id_of(one.id): one for one in _leaves(results)}
    if not wanted:
        return
    outcomes: asyncio.Queue[tuple[str, TaskMeta | ResultStoreError]] = asyncio.Queue()
    loop, end = asyncio.get_running_loop(), None if timeout_s is None else time.monotonic() + timeout_s

    def put(task_id: str, outcome: TaskMeta | ResultStoreError) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(outcomes.put_nowait, (task_id, outcome))

    notifier = _backend(next(iter(wanted.values()))).notifier.get()
    notifier.add(wanted, put)
    try:
        for _ in range(len(wanted)):
            try:
                async with asyncio.timeout(None if end is None else max(0.0, end - time.monotonic())):
                    task_id, outcome = await outcomes.get()
            except TimeoutError as error:
                raise CeleryTimeoutError(f"{len(wanted)} results were not ready after {timeout_s} s") from error
            if isinstance(outcome, ResultStoreError):
                raise outcome
            one = wanted.pop(task_id)
            yield one, await asyncio.to_thread(_value, one, outcome, propagate=propagate)
    finally:
        notifier.remove(wanted, put)


def as_ended(*args: Any, **options: Any) -> AsyncGenerator[tuple[AsyncResult, Any], None]:  # noqa: ANN401 - those of `as_completed`
    """Return `as_completed(...)`. Deprecated: use that name; this one goes with the next release."""
    warnings.warn("aio.as_ended is deprecated: use aio.as_completed", DeprecationWarning, stacklevel=2)
    return as_completed(*args, **options)


async def state(result: AsyncResult) -> str:
    """Return the state; no value is read, whatever its size."""
    backend = _backend(result)
    found: str = await asyncio.to_thread(backend.get_state, result.id)
    return found


async def completion(group: ResultSet) -> GroupProgress:
    """Return the progress of a group, in one round trip for up to 1,000 tasks; no value is read."""
    return await asyncio.to_thread(completion_of, group)


def completion_of(group: ResultSet) -> GroupProgress:
    """Return the progress of a group, without an event loop.

    `GroupResult.completed_count()` looks up each task alone.
    """
    ids = [id_of(one.id) for one in _leaves(group)]
    if not ids:
        return GroupProgress(0, 0, 0)
    found = _backend(next(_leaves(group))).store.peek_many(ids)
    succeeded = sum(one is not None and one.state == states.SUCCESS for one in found)
    return GroupProgress(len(ids), succeeded, sum(one is not None and one.terminal for one in found) - succeeded)


async def _values(results: Sequence[AsyncResult], timeout_s: float | None, *, propagate: bool) -> dict[str, Any]:
    async with contextlib.aclosing(as_completed(results, timeout_s=timeout_s, propagate=propagate)) as ended:
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
        raise Misconfigured(NOT_RESULTSTORE)
    return result.backend
