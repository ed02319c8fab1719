"""The actors of the test worker."""

import os
import signal
import uuid
from collections.abc import Iterator

import dramatiq
import redis
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import AsyncIO, CurrentMessage, GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend
from dramatiq.results import Results

from resultstore import Artifact, BadInput, Output
from resultstore.backends.dramatiq import ResultStoreBackend, setup, store_of

QUEUE = os.environ["RS_TEST_QUEUE"]
MIB = b"m" * (1 << 20)

broker = RabbitmqBroker(url=os.environ["RS_TEST_AMQP_URL"])
broker.add_middleware(AsyncIO())
broker.add_middleware(CurrentMessage())
broker.add_middleware(GroupCallbacks(RedisBackend(url=os.environ["RS_TEST_REDIS_URL"])))
broker.add_middleware(Results(backend=ResultStoreBackend(), store_results=True))
setup(broker)
dramatiq.set_broker(broker)
store = store_of(broker)
notes = redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"])


def actor(**options: object):
    return dramatiq.actor(queue_name=QUEUE, **{"max_retries": 0, **options})


@actor()
def add(x: int, y: int) -> int:
    return x + y


@actor()
def stream(mib: int) -> Iterator[bytes]:
    for done in range(mib):
        store.progress(done, mib)
        yield MIB


@actor()
def named() -> Output:
    return Output(data=b"%PDF-1.7 report", name="report.pdf", metadata={"pages": 3})


@actor()
async def asynchronous() -> Artifact:
    store.progress(1, 2)
    return store.put(b"from a coroutine", name="part")


@actor()
def size_of(artifact: Artifact) -> int:
    with store.open(artifact) as content:
        return len(content.read())


@actor()
def keep_size(key: str, artifact: Artifact) -> None:
    notes.set(key, size_of(artifact), ex=60)


@actor()
def succeeded(message: dict[str, object], result: Artifact) -> None:
    notes.set(f"succeeded-{message['message_id']}", size_of(result), ex=60)


@actor(on_success=succeeded.actor_name)
def with_a_callback() -> Output:
    return Output(data=b"called back")


@actor()
def large_value(size_bytes: int) -> dict[str, object]:
    return {"text": "v" * size_bytes, "pair": (1, 2)}


@actor()
def failing_stream() -> Iterator[bytes]:
    yield MIB * 9
    raise BadInput("image cat.jpg of 7f3a is truncated: upload it again")


@actor(max_retries=1, min_backoff=1_500, max_backoff=1_500)
def retried_stream() -> Iterator[bytes]:
    retries = CurrentMessage.get_current_message().options.get("retries", 0)
    yield b"attempt %d" % retries
    if not retries:
        raise OSError("once")


@actor()
def different_value(size_bytes: int) -> str:
    return uuid.uuid4().hex + "v" * size_bytes


@actor()
def calls_another() -> str:
    return type(stream(1)).__name__


@actor(store_results=False)
def without_a_result() -> Output:
    return Output(data=b"kept all the same")


@dramatiq.actor(store_results=True, min_backoff=1, max_backoff=1)
def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
