"""The broker and the tasks of the test worker."""

import asyncio
import logging
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

import redis
from pydantic import BaseModel
from taskiq import Context, SimpleRetryMiddleware, TaskiqDepends, TaskiqMiddleware
from taskiq.depends.progress_tracker import ProgressTracker
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue, QueueType

from resultstore import Artifact, BadInput, Output
from resultstore.backends.taskiq import ResultStoreBackend, setup, store_of

QUEUE = os.environ["RS_TEST_QUEUE"]
GONE_SOON = {"x-expires": 120_000}  # RabbitMQ deletes an unused queue


class Witness(TaskiqMiddleware):
    """Notes the value that each attempt ended with."""

    def post_save(self, message, result) -> None:
        redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"]).rpush(f"saw-{message.task_id}", repr(result.return_value))


broker = AioPikaBroker(
    os.environ["RS_TEST_AMQP_URL"],
    exchange=Exchange(name=QUEUE, auto_delete=True),
    task_queues=[Queue(name=QUEUE, type=QueueType.CLASSIC, arguments=GONE_SOON)],
    dead_letter_queue=Queue(name=f"{QUEUE}-dead", type=QueueType.CLASSIC, arguments=GONE_SOON),
).with_result_backend(ResultStoreBackend())
broker.add_middlewares(SimpleRetryMiddleware(default_retry_count=3), Witness())
setup(broker)
store = store_of(broker)
logging.captureWarnings(capture=True)

MIB = b"m" * (1 << 20)


@broker.task
async def add(x: int, y: int) -> int:
    return x + y


@broker.task
def add_in_a_thread(x: int, y: int) -> int:
    return x + y


@broker.task
def stream(mib: int) -> Iterator[bytes]:
    for _ in range(mib):
        yield MIB


@broker.task
async def async_stream(mib: int) -> AsyncIterator[bytes]:
    for done in range(mib):
        await asyncio.sleep(0)
        yield MIB
        store.progress(done + 1, mib)


@broker.task
async def named() -> Output:
    return Output(data=b"%PDF-1.7 report", name="report.pdf", metadata={"pages": 3})


@broker.task
def named_in_a_thread() -> Output:
    return Output(data=b"from a thread", name="thread.txt")


@broker.task
def named_stream() -> Output:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"from "
        yield b"a stream"

    return Output(data=chunks(), name="stream.txt")


@broker.task
async def parts(text: str) -> list[Artifact]:
    made = []
    for number in range(3):
        made.append(await asyncio.to_thread(store.put, f"{text} {number}".encode(), name=f"part-{number}"))
        store.progress(number + 1, 3, f"part {number}")
        await asyncio.sleep(0.05)
    return made


@broker.task
def parts_in_a_thread(text: str) -> list[Artifact]:
    return [store.put(f"{text} {number}".encode(), name=f"part-{number}") for number in range(3)]


@broker.task
async def size_of(artifact: Artifact) -> int:
    return await asyncio.to_thread(lambda: len(store.open(artifact).read()))


@broker.task
def sizes_of(found) -> list[int]:
    return [one.size_bytes for one in found["all"]]


class Order(BaseModel):
    number: int
    picture: Artifact


@broker.task
async def ordered(order: Order) -> Order:
    return Order(number=order.number + 1, picture=order.picture)


@broker.task
async def requeued(artifact: Artifact, context: Annotated[Context, TaskiqDepends()]) -> str:
    if "X-Taskiq-requeue" not in context.message.labels:
        await context.requeue()
    return artifact.name


@broker.task
async def large_value(size_bytes: int) -> str:
    return "v" * size_bytes


@broker.task
async def mixed_value(size_bytes: int) -> dict:
    return {"text": "t" * size_bytes, "numbers": [1, 2.5, None, True], "nested": {"an": {"id": "x"}}}


@broker.task
async def not_json() -> object:
    return {"what": object()}


@broker.task
async def raises_bad_input() -> None:
    raise BadInput("image cat.jpg of 7f3a is truncated: upload it again")


@broker.task
async def raises_an_unknown_class() -> None:
    if os.environ.get("RS_TEST_IN_WORKER"):
        raise type("OnlyInTheWorkerError", (Exception,), {"__module__": "nobody.has.this"})("told", object())


@broker.task
async def failing_stream() -> AsyncIterator[bytes]:
    yield MIB * 9
    raise BadInput("image cat.jpg of 7f3a is truncated: upload it again")


@broker.task(retry_on_error=True)
async def retried_stream(artifact: Artifact, context: Annotated[Context, TaskiqDepends()]) -> Output:
    retries = context.message.labels.get("_retries", 0)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"attempt %d of %s" % (retries, artifact.name.encode())
        if retries < 1:
            raise OSError("once")

    return Output(data=chunks(), name="tried.txt")


@broker.task(retry_on_error=True)
async def fails_first(gate: str, context: Annotated[Context, TaskiqDepends()]) -> str:
    if "_retries" not in context.message.labels:
        await asyncio.to_thread(store.put, b"part", name="part")
        raise OSError("once")
    await asyncio.to_thread(_waits_for, gate)
    return gate


@broker.task(timeout=0.5)
async def never_ends() -> AsyncIterator[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield MIB
            await asyncio.sleep(0.05)

    return chunks()


@broker.task
async def different_each_time() -> Output:
    return Output(data=uuid.uuid4().bytes, name="random.bin")


async def connection() -> AsyncIterator[list[str]]:
    open_ = ["open"]
    yield open_
    open_.clear()


@broker.task
async def reads_a_dependency(lines: Annotated[list[str], TaskiqDepends(connection)]) -> Output:
    async def chunks() -> AsyncIterator[bytes]:
        yield (lines[0] if lines else "closed").encode()

    return Output(data=chunks(), name="lines.txt")


@broker.task
async def tracked(progress: Annotated[ProgressTracker, TaskiqDepends()], gate: str) -> str:
    await progress.set_progress("HALF", {"done": 1, "total": 2, "words": ["half"]})
    await asyncio.to_thread(store.put, b"part", name="part")
    await asyncio.to_thread(_waits_for, gate)
    return "whole"


@broker.task
async def waits(gate: str) -> str:
    await asyncio.to_thread(_waits_for, gate)
    return gate


@broker.task
async def calls_others() -> list[str]:
    """A task that is called as a function is not captured."""
    return [type(stream(1)).__name__, type(await named()).__name__, type(async_stream(1)).__name__]


def _waits_for(gate: str) -> None:
    redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"]).blpop([gate], timeout=30)
