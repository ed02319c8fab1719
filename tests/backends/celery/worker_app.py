"""The app of the test worker: one task for each way of returning something."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator

import redis
from billiard.process import current_process
from celery import Celery, Task, group
from celery.signals import after_task_publish, before_task_publish
from kombu.serialization import dumps

from resultstore import Artifact, Output
from resultstore.backends.celery import LazyParts, setup, store_of

app = Celery(
    # By its queue: each worker sends the bodies of its own chords.
    "worker_app " + os.environ.get("RS_TEST_QUEUE", ""),
    broker=os.environ["RS_TEST_AMQP_URL"],
    backend="resultstore+" + os.environ["RS_TEST_REDIS_URL"],
)
app.conf.update(
    task_default_queue=os.environ.get("RS_TEST_QUEUE", "celery"),
    worker_prefetch_multiplier=1,
    resultstore_chord_lease_s=os.environ.get("RS_TEST_LEASE_S"),
    broker_connection_retry_on_startup=True,
)
setup(app, spill=os.environ.get("RS_TEST_SPILL", "yes") == "yes")

sizes = redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"])


@before_task_publish.connect
def measure(body: object = None, headers: object = None, **_: object) -> None:
    """Keep the length of the largest message that any process has sent to this queue."""
    length = len(dumps(body, "json")[2]) + len(dumps(headers, "json")[2])
    sizes.zadd("largest", {app.conf.task_default_queue: length}, gt=True)


def _killed(sender: str, headers: dict[str, object], **_: object) -> None:
    """A finisher that is killed by the way: once, at the first message for a body; not the worker's main process."""
    in_pool = current_process().name != "MainProcess"
    if (
        in_pool
        and sender == "worker_app.counted"
        and app.backend.client.set("killed:" + str(headers["id"]), 1, nx=True, ex=60)
    ):
        os.kill(os.getpid(), signal.SIGKILL)


if os.environ.get("RS_TEST_KILLED") == "before the broker has the body":
    before_task_publish.connect(_killed, weak=False)
if os.environ.get("RS_TEST_KILLED") == "after the broker has the body":
    after_task_publish.connect(_killed, weak=False)

MIB = b"m" * (1 << 20)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task(bind=True)
def owner(self: Task) -> str:
    """Whose message this is; and a child's id, when one is asked for."""
    return self.request.get("resultstore_owner") or ""


@app.task
def parent_of_owner() -> str:
    return owner.delay().id


@app.task
def ignores(_: object) -> str:
    return owner.delay().id


@app.task
def stream(mib: int) -> Iterator[bytes]:
    for _ in range(mib):
        yield MIB


@app.task
def named() -> Output:
    return Output(data=b"%PDF-1.7 report", name="report.pdf", metadata={"pages": 3})


@app.task
def long() -> None:
    store_of(app).progress(0, 1, "busy")
    time.sleep(30)


@app.task
def size_of(artifact: Artifact) -> int:
    with store_of(app).open(artifact) as content:
        return len(content.read())


@app.task
def sizes_of(artifacts: list[Artifact]) -> list[int]:
    return [size_of(artifact) for artifact in artifacts]


@app.task
def large_value(size_bytes: int) -> str:
    return "v" * size_bytes


@app.task(bind=True, autoretry_for=(OSError,), retry_kwargs={"max_retries": 2, "countdown": 0})
def retried_stream(self: Task) -> Iterator[bytes]:
    yield b"attempt %d" % self.request.retries
    if self.request.retries < 1:
        raise OSError("once")


@app.task(base=Task)
def with_a_base() -> Output:
    return Output(data=b"base", name="base.bin")


class Registered(Task):
    name = "worker_app.registered"

    def run(self) -> Output:
        return Output(data=b"registered", name="registered.bin")


app.register_task(Registered())


@app.task
def calls_another() -> str:
    """A task that is called like a function returns what it returns."""
    return type(stream(1)).__name__


@app.task(bind=True)
def replaced(self: Task, x: int, y: int) -> int:
    return self.replace(add.s(x, y))


@app.task
def fails(why: str) -> None:
    raise ValueError(why)


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(bind=True)
def update_other(self: Task, task_id: str) -> None:
    self.update_state(task_id, "SUCCESS", "by another")


@app.task
def shape(values: object) -> object:
    return values


@app.task
def counted(values: list[int], key: str) -> int:
    """How often it has run, by a counter in Redis."""
    return app.backend.client.incr(key)


@app.task
def lengths(values: list[str]) -> list[int]:
    return [len(value) for value in values]


@app.task
def lazy_lengths(parts: LazyParts) -> list[int]:
    return [len(part) for part in parts]


@app.task(bind=True)
def digest(self: Task, value: str) -> str:
    assert self.request.args == [value], "the request shows what the body sees"
    return hashlib.sha256(value.encode()).hexdigest()


@app.task(bind=True)
def spread(self: Task, numbers: list[int]) -> object:
    return self.replace(group(add.s(number, 1) for number in numbers))


@app.task
def measured(request: object, exc: object, traceback: object, where: str, text: str) -> None:
    """An errback that Celery calls like a function, because of its three arguments."""
    app.backend.store_result(where, len(text), "SUCCESS")
