"""The taskiq backend without servers, by taskiq's own receiver in this process."""

import asyncio
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from taskiq import InMemoryBroker, TaskiqResult

from resultstore import (
    Artifact,
    BlobStoreUnavailable,
    CommitUnknown,
    Misconfigured,
    Output,
    Settings,
    State,
    Store,
    connect,
)
from resultstore.backends.taskiq import ResultStoreBackend, setup, store_of, woken_tasks
from resultstore.backends.taskiq.stream_drain import CHUNKS_AHEAD
from resultstore.blobs.blobstore import OutcomeUnknown
from resultstore.blobs.memory import MemoryBlobs
from resultstore.index.memory.driver import MemoryIndex

WAIT_S = 20


@asynccontextmanager
async def started(store: Store, **options) -> AsyncIterator[InMemoryBroker]:
    broker = InMemoryBroker(**options).with_result_backend(ResultStoreBackend(store))
    setup(broker)
    await broker.startup()
    yield broker
    await broker.shutdown()


def on(blobs: MemoryBlobs, **options) -> Store:
    return Store(index=MemoryIndex(), blobs=blobs, signer=None, settings=Settings(commit_budget_s=0.3, **options))


def keys(blobs: MemoryBlobs) -> list[str]:
    return [stored.key for stored in blobs.list("")]


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://"))


def test_timeout_during_sealing_keeps_the_sealed_outcome():
    class SlowSeal(MemoryBlobs):
        began, ended = threading.Event(), threading.Event()

        def create(self, key, body, *, tags):
            self.began.set()
            assert self.ended.wait(WAIT_S)
            return super().create(key, body, tags=tags)

    async def run() -> tuple[TaskiqResult, State]:
        blobs = SlowSeal()
        async with started(on(blobs)) as broker:

            @broker.task(timeout=0.2)
            async def slow() -> str:
                return "v" * 50_000

            sent = await slow.kiq()
            await asyncio.to_thread(blobs.began.wait)
            await asyncio.sleep(0.4)
            blobs.ended.set()
            result = await sent.wait_result(timeout=WAIT_S)
            return result, store_of(broker).load(sent.task_id).state

    result, state = asyncio.run(run())

    assert (result.is_err, result.error, state) == (False, None, State.SUCCESS)
    assert result.labels == {"timeout": 0.2}
    assert result.return_value == "v" * 50_000


def test_value_returned_after_the_timeout_is_dropped():
    async def run() -> tuple[TaskiqResult, State]:
        async with started(on(blobs)) as broker:
            gate = threading.Event()

            @broker.task(timeout=0.2)
            def slow() -> str:
                assert gate.wait(WAIT_S)
                return "v" * 50_000

            sent = await slow.kiq()
            result = await sent.wait_result(timeout=WAIT_S)
            gate.set()
            await asyncio.to_thread(broker.executor.shutdown)
            return result, store_of(broker).load(sent.task_id).state

    blobs = MemoryBlobs()
    result, state = asyncio.run(run())

    assert isinstance(result.error, TimeoutError)
    assert state == State.FAILURE
    assert keys(blobs) == []


def test_unknown_commit_deletes_nothing():
    class NoAnswer(MemoryBlobs):
        def create(self, *_, **__):
            return OutcomeUnknown("a cut")

    async def run() -> TaskiqResult:
        async with started(on(blobs)) as broker:

            @broker.task
            async def made() -> Output:
                return Output(data=b"content", name="a.txt")

            return await (await made.kiq()).wait_result(timeout=WAIT_S)

    blobs = NoAnswer()
    result = asyncio.run(run())

    assert isinstance(result.error, CommitUnknown)
    assert len(keys(blobs)) == 1


def test_failing_store_closes_the_stream():
    class Full(MemoryBlobs):
        def put(self, _key, chunks, **_):
            next(iter(chunks))
            time.sleep(0.2)  # a slow store
            raise BlobStoreUnavailable("full")

    async def run() -> tuple[TaskiqResult, list[str]]:
        said = []

        async def chunks() -> AsyncIterator[bytes]:
            try:
                while True:
                    await asyncio.sleep(0)
                    said.append("made one")
                    yield b"x"
            finally:
                said.append("closed")

        async with started(on(Full())) as broker:

            @broker.task
            async def streamed() -> Output:
                return Output(data=chunks())

            result = await (await streamed.kiq()).wait_result(timeout=WAIT_S)
            await asyncio.sleep(0.1)
            return result, said[:]

    result, said = asyncio.run(run())

    assert isinstance(result.error, BlobStoreUnavailable)
    assert said[-1] == "closed"
    assert len(said) <= CHUNKS_AHEAD + 3  # a slow store holds the stream back


def test_streams_that_need_threads_do_not_deadlock(store: Store):
    async def run() -> list[int]:
        async with started(store, max_async_tasks=100) as broker:
            gate = asyncio.Event()

            @broker.task
            async def streamed(n: int) -> AsyncIterator[bytes]:
                await gate.wait()
                for _ in range(3):
                    yield await asyncio.to_thread(lambda: b"x" * n)

            sent = [await streamed.kiq(n) for n in range(60)]
            gate.set()
            return [(await one.wait_result(timeout=WAIT_S)).return_value.size_bytes for one in sent]

    assert asyncio.run(run()) == [3 * n for n in range(60)]


def test_task_inside_another_keeps_its_own_parts(store: Store):
    async def run() -> list[list[str]]:
        async with started(store, await_inplace=True) as broker:

            @broker.task
            async def inner() -> Artifact:
                return store.put(b"i", name="inner")

            @broker.task
            async def outer() -> str:
                sent = await inner.kiq()
                store.put(b"o", name="outer")
                return sent.task_id

            sent = await outer.kiq()
            inner_id = (await sent.get_result()).return_value
            return [[one.name for one in store.load(one_id).artifacts] for one_id in (sent.task_id, inner_id)]

    assert asyncio.run(run()) == [["outer"], ["inner"]]


def test_async_task_passes_its_owner_on(store: Store):
    async def run() -> list[str]:
        async with started(store) as broker:

            @broker.task
            async def last() -> int:
                return 1

            @broker.task
            async def first() -> str:
                return (await last.kiq()).task_id

            senders = [first.kicker().with_labels(resultstore_owner="ann"), first.kicker()]
            sent = [await one.kiq() for one in senders]
            children = [(await one.wait_result(timeout=WAIT_S)).return_value for one in sent]
            return [store.load(one).owner for one in children]

    assert asyncio.run(run()) == ["ann", ""]


def test_waiter_without_a_free_thread_polls(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(woken_tasks, "WAITERS", 2)
    monkeypatch.setattr(woken_tasks, "SLICE_S", 5.0)

    async def run() -> tuple[int, list[int]]:
        async with started(store) as broker:
            gate = asyncio.Event()

            @broker.task
            async def waits(n: int) -> int:
                if n < 2:
                    await gate.wait()
                return n

            sent = [await waits.kiq(n) for n in range(10)]
            waiters = [asyncio.ensure_future(one.wait_result(timeout=WAIT_S, check_interval=0.05)) for one in sent]
            done, _ = await asyncio.wait(waiters, timeout=1.0)
            gate.set()
            return len(done), [(await one).return_value for one in waiters]

    assert asyncio.run(run()) == (8, list(range(10)))


def test_forked_process_waits_with_its_own_threads(store: Store):
    backend = ResultStoreBackend(store)
    sent = woken_tasks.WokenTask("a", backend)

    async def waited() -> int:
        return (await sent.wait_result(timeout=5)).return_value

    asyncio.run(backend.set_result("a", TaskiqResult(is_err=False, return_value=7, execution_time=0.1)))
    assert asyncio.run(waited()) == 7  # its threads run now

    child = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(asyncio.run(waited())))
    child.start()
    child.join(WAIT_S)

    assert child.exitcode == 7


def test_task_is_sent_while_the_index_is_away():
    async def run() -> list[int]:
        ran = []
        away = connect(Settings(index_url="redis://127.0.0.1:1/0", blobs_url="memory://"))
        async with started(away, await_inplace=True) as broker:

            @broker.task
            async def runs() -> None:
                ran.append(1)

            await runs.kiq()
        return ran

    assert asyncio.run(run()) == [1]


def test_setup_refuses_another_backend_and_runs_once(store: Store):
    broker = InMemoryBroker()
    with pytest.raises(Misconfigured, match="with_result_backend"):
        setup(broker)
    broker.with_result_backend(ResultStoreBackend(store))

    setup(broker)
    formatter, middlewares = broker.formatter, list(broker.middlewares)
    setup(broker)

    assert (broker.formatter, broker.middlewares) == (formatter, middlewares)
    assert store_of(broker) is store


def test_nothing_else_needs_taskiq():
    code = "import sys; sys.modules['taskiq'] = None; import resultstore, resultstore.ops.doctor, resultstore.cli.app"

    subprocess.run([sys.executable, "-c", code], check=True)


def test_exception_without_a_text_reaches_its_waiter(store: Store, quiet_receiver: None):
    class Wordless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    async def waited() -> TaskiqResult:
        async with started(store) as broker:

            @broker.task
            async def wordless() -> None:
                raise Wordless

            return await (await wordless.kiq()).wait_result(timeout=WAIT_S)

    result = asyncio.run(waited())
    assert result.is_err
    assert type(result.error).__name__.endswith("Wordless")
