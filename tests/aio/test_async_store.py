"""AsyncStore: coroutines look up, wait, watch and read; waiting takes one thread, however many wait."""

import asyncio
import os
import threading
import time

import pytest

from resultstore import ArtifactExpired, BadReference, IndexUnavailable, ResultDeleted
from resultstore.aio import listener as listening
from resultstore.aio.listener import listener_of
from resultstore.model.result import Progress, Result, State
from resultstore.store.attempt import Attempt, running

VIEWERS = 60


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def move(store, result_id: str, state: str, **fields: object) -> None:
    store.save(Result(id=result_id, state=state, **fields))


async def until(condition) -> None:
    while not condition():  # noqa: ASYNC110 - no event shows it
        await asyncio.sleep(0.01)


def listeners() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "resultstore-changes"}


def test_load_peek_open_and_put(aio, store):
    async def main():
        artifact = await aio.call(store.put, b"x" * 3_000_000, name="a.bin", metadata={"n": 1})
        result = await aio.load(artifact.id)
        assert result.artifacts == (artifact,)
        assert (await aio.peek(artifact.id)).state == State.SUCCESS
        assert await aio.load_many([artifact.id, "unknown"]) == [result, None]
        async with aio.open(artifact) as file:
            assert await file.seek(2_999_999) == 2_999_999
            assert await file.read(10) == b"x"
            await file.seek(0)
            assert [len(chunk) async for chunk in file] == [1 << 20, 1 << 20, 3_000_000 - (2 << 20)]

    run(main())


def test_open_raises_as_the_store_does(aio, store, monkeypatch):
    artifact = store.put(b"1", name="a")
    monkeypatch.setattr(store.blobs, "now", lambda: time.time() + 400 * 86_400)

    async def main():
        async with aio.open(artifact):
            pass

    with pytest.raises(ArtifactExpired):
        run(main())


def test_watch_yields_each_state_to_the_end(aio, store, task_id):
    async def main():
        seen = []
        move(store, task_id, State.STARTED)
        async for result in aio.watch(task_id):
            seen.append((result.state, result.progress and result.progress.done))
            if result.state == State.STARTED:
                move(store, task_id, State.PROGRESS, progress=Progress(1, 2))
            elif result.state == State.PROGRESS:
                move(store, task_id, State.SUCCESS, value=b"1")
        assert seen == [("STARTED", None), ("PROGRESS", 1), ("SUCCESS", None)]

    run(main())
    assert listener_of(store)._watchers == {}


def test_60_viewers_share_one_thread(aio, store, task_id):
    """Half of them watch one id, half each another; asyncio's own threads are fewer than they are."""
    ids = [task_id if number % 2 else f"{task_id}-{number}" for number in range(VIEWERS)]
    seen: list[list[str]] = [[] for _ in ids]

    async def view(number: int) -> None:
        async for result in aio.watch(ids[number]):
            seen[number].append(result.state)

    async def main():
        before = listeners()
        views = [asyncio.create_task(view(number)) for number in range(VIEWERS)]
        for state in (State.STARTED, State.PROGRESS):
            for one in set(ids):
                move(store, one, state)
            await until(lambda: all(state in each for each in seen))  # noqa: B023 - waits here
        assert len(listeners() - before) == 1
        began = time.monotonic()
        assert await aio.load("unknown") is None  # not starved: no viewer holds one of asyncio's threads
        assert time.monotonic() - began < 20
        for one in set(ids):
            move(store, one, State.SUCCESS, value=b"1")
        await asyncio.gather(*views)
        assert all(each[-1] == State.SUCCESS for each in seen)

    run(main())


def test_viewers_need_no_thread_of_asyncio(aio, store, task_id):
    """With a single thread in asyncio's pool, 60 viewers still receive changes while that thread is held."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - next to its use

    held, release = threading.Event(), threading.Event()
    received = [0]

    async def view() -> None:
        async for result in aio.watch(task_id):
            received[0] += result.state == State.PROGRESS

    async def main():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        move(store, task_id, State.STARTED)
        views = [asyncio.create_task(view()) for _ in range(VIEWERS)]
        await until(lambda: len(listener_of(store)._watchers.get(task_id, ())) == VIEWERS)
        await asyncio.to_thread(lambda: None)  # the first look-ups of all viewers are done
        asyncio.get_running_loop().run_in_executor(None, lambda: (held.set(), release.wait(30)))
        await until(held.is_set)
        move(store, task_id, State.PROGRESS, progress=Progress(1, 2))
        await until(lambda: received[0] == VIEWERS)
        release.set()
        for one in views:
            one.cancel()
        await asyncio.gather(*views, return_exceptions=True)

    run(main())
    assert listener_of(store)._watchers == {}


def test_wait_returns_the_whole_result(aio, store, task_id):
    def work():
        with running(Attempt(task_id)) as attempt:
            store.put(b"1", name="a.txt")
        store.save(store.seal(attempt, value=b"7"))

    async def main():
        waiting = asyncio.create_task(aio.wait(task_id, timeout_s=30))
        await asyncio.sleep(0)
        await asyncio.to_thread(work)
        result = await waiting
        assert [one.name for one in result.artifacts] == ["a.txt"]
        assert result.terminal
        assert (await aio.wait(task_id)).artifacts == result.artifacts  # at once

    run(main())


def test_wait_ends_after_its_time(aio, task_id):
    with pytest.raises(TimeoutError, match="not ready in time"):
        run(aio.wait(task_id, timeout_s=0.05))


@pytest.mark.parametrize("before", [True, False])
def test_deleted_result_ends_the_waiting(aio, store, task_id, before):
    async def main():
        move(store, task_id, State.STARTED)
        if before:
            store.delete(task_id)
        waiting = asyncio.create_task(aio.wait(task_id))
        await until(lambda: waiting.done() or listener_of(store)._watchers)
        if not before:
            store.delete(task_id)
        with pytest.raises(ResultDeleted):
            await waiting

    run(main())


def test_lost_announcement_is_found_by_a_check(aio, store, task_id, monkeypatch):
    monkeypatch.setattr(listening, "RECHECK_S", 0.2)
    listener = listener_of(store)
    add = listener.add

    def deaf(result_id, watcher):
        add(result_id, watcher)
        listener._subscription.leave(result_id)

    monkeypatch.setattr(listener, "add", deaf)

    async def main():
        move(store, task_id, State.STARTED)
        async for result in aio.watch(task_id):
            if result.state == State.STARTED:
                await asyncio.sleep(0.3)
                move(store, task_id, State.FAILURE)

    run(main())


def test_index_that_stays_away_is_reported(aio, store, task_id, monkeypatch):
    monkeypatch.setattr(listening, "RECHECK_S", 0.05)
    monkeypatch.setattr(listening, "UNAVAILABLE_LIMIT_S", 0.2)

    async def main():
        move(store, task_id, State.STARTED)
        states = aio.watch(task_id)
        await anext(states)

        def away(_):
            raise IndexUnavailable("away")

        monkeypatch.setattr(store, "peek_many", away)
        with pytest.raises(IndexUnavailable):
            await anext(states)

    run(main())


def test_short_outage_is_not_reported(aio, store, task_id, monkeypatch):
    monkeypatch.setattr(listening, "RECHECK_S", 0.05)
    peek_many, left = store.peek_many, [3]

    def failing(ids):
        left[0] -= 1
        if left[0] >= 0:
            raise IndexUnavailable("away")
        return peek_many(ids)

    async def main():
        move(store, task_id, State.STARTED)
        states = aio.watch(task_id)
        await anext(states)
        monkeypatch.setattr(store, "peek_many", failing)
        move(store, task_id, State.SUCCESS, value=b"1")
        assert (await anext(states)).state == State.SUCCESS

    run(main())


def test_bad_id_is_refused(aio):
    with pytest.raises(BadReference):
        run(aio.wait(""))


def test_thread_ends_when_none_watches(aio, store, task_id, monkeypatch):
    monkeypatch.setattr(listening, "_IDLE_S", 0.0)
    monkeypatch.setattr(listening, "RECHECK_S", 0.05)
    move(store, task_id, State.SUCCESS, value=b"1")
    for _ in range(2):  # and begins again
        assert run(aio.wait(task_id)).terminal
        end = time.monotonic() + 30
        while listener_of(store).threads:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_forked_process_listens_by_itself(aio, store, task_id):
    move(store, task_id, State.SUCCESS, value=b"1")
    run(aio.wait(task_id))
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if run(aio.wait(task_id, timeout_s=20)).terminal and listener_of(store).threads == 1 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
