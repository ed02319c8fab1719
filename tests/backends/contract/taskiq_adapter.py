"""taskiq's adapter of the contract: its broker, its worker's command, and how a client sends and asks."""

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine

import redis
from taskiq import SimpleRetryMiddleware, TaskiqEvents, TaskiqState
from taskiq_aio_pika import AioPikaBroker, Exchange, Queue, QueueType

from resultstore import LIBRARY_ADAPTERS
from resultstore.backends.taskiq import ResultStoreBackend, setup, store_of
from resultstore.backends.taskiq.woken_tasks import WokenTask
from resultstore.model.headers import OWNER_HEADER
from tests.backends.contract.jobs import RETRIED, make_jobs

LACKS = {
    "large arguments by reference": "only the Celery backend spills arguments: return large values, or send Artifacts",
    "adoption of an upload": "only Celery tasks are started on uploads by the gateway",
    "limit of lost runs": "taskiq does not pass the redelivered flag on to its middlewares",
}
EXPIRES_S = 900
COMMAND = [
    *(sys.executable, "-m", "taskiq", "worker", "tests.backends.contract.taskiq_adapter:broker"),
    *("--workers", "1", "--max-async-tasks", "1", "--max-prefetch", "0"),
]
QUEUE = os.environ["RS_TEST_QUEUE"]
GONE_SOON = {"x-expires": 120_000}  # RabbitMQ deletes an unused queue
CALL_LIMIT_S = 60

broker = AioPikaBroker(
    os.environ["RS_TEST_AMQP_URL"],
    exchange=Exchange(name=QUEUE, auto_delete=True),
    task_queues=[Queue(name=QUEUE, type=QueueType.CLASSIC, arguments=GONE_SOON)],
    dead_letter_queue=Queue(name=f"{QUEUE}-dead", type=QueueType.CLASSIC, arguments=GONE_SOON),
).with_result_backend(ResultStoreBackend(result_expires_s=EXPIRES_S))
broker.add_middlewares(SimpleRetryMiddleware(default_retry_count=2))
setup(broker, adapters=LIBRARY_ADAPTERS)
store = store_of(broker)
_loops: list[asyncio.AbstractEventLoop] = []


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def _keep_loop(_: TaskiqState) -> None:
    _loops.append(asyncio.get_running_loop())


def start() -> None:
    """Get ready to send, with an event loop on a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    _loops.append(loop)
    _call(broker.startup())


def stop() -> None:
    """Close the connections, and end the event loop's thread."""
    _call(broker.shutdown())
    _loops[0].call_soon_threadsafe(_loops[0].stop)


def send(job: str, *args: object, owner: str = "", id: str | None = None) -> str:
    """Send a job, and return its id; from a client's thread, or a worker's."""
    labels = {OWNER_HEADER: owner} if owner else {}
    return _call(broker.find_task(job).kicker().with_task_id(id).with_labels(**labels).kiq(*args)).task_id


def value(task_id: str, timeout_s: float) -> object:
    """Wait for a result as a client does, and return its value; raises the error of a failure."""
    sent = WokenTask(task_id, broker.result_backend)
    return _call(sent.wait_result(timeout=timeout_s)).raise_for_error().return_value


def _call(coroutine: Coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, _loops[0]).result(CALL_LIMIT_S)


for _job in make_jobs(store, notes=redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"]), send=send):
    broker.register_task(
        _job, task_name=_job.__name__, **({"retry_on_error": True} if _job.__name__ == RETRIED else {})
    )
