"""Dramatiq's adapter of the contract: its broker, its worker's command, and how a client sends and asks."""

import os
import sys

import dramatiq
import redis
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import Results

from resultstore import LIBRARY_ADAPTERS
from resultstore.backends.dramatiq import ResultStoreBackend, setup, store_of
from resultstore.model.headers import OWNER_HEADER
from tests.backends.contract.jobs import RETRIED, make_jobs

LACKS = {
    "large arguments by reference": "only the Celery backend spills arguments: return large values, or send Artifacts",
}
EXPIRES_S = 900
COMMAND = [
    *(sys.executable, "-m", "dramatiq", "tests.backends.contract.dramatiq_adapter:broker"),
    *("--processes", "1", "--threads", "1"),
]
QUEUE = os.environ["RS_TEST_QUEUE"]

# kombu writes the virtual host `/` as a second slash, pika as %2F.
broker = RabbitmqBroker(url=os.environ["RS_TEST_AMQP_URL"].removesuffix("//") + "/%2F")
broker.add_middleware(Results(backend=ResultStoreBackend(), store_results=True, result_ttl=EXPIRES_S * 1000))
_encoder = dramatiq.get_encoder()
setup(broker, adapters=LIBRARY_ADAPTERS)
store = store_of(broker)


def start() -> None:
    """Get ready to send: the queue is declared here, because a client may look into it before a worker starts."""
    broker.declare_queue(QUEUE, ensure=True)


def stop() -> None:
    """Delete the queues, close the connection and restore Dramatiq's global encoder."""
    for suffix in ("", ".DQ", ".XQ"):
        broker.channel.queue_delete(QUEUE + suffix)
    broker.close()
    dramatiq.set_encoder(_encoder)


def send(job: str, *args: object, owner: str = "", id: str | None = None) -> str:
    """Send a job, and return its id."""
    options = {OWNER_HEADER: owner} if owner else {}
    message = broker.get_actor(job).message_with_options(args=args, **options)
    return broker.enqueue(message if id is None else message.copy(message_id=id)).message_id


def value(task_id: str, timeout_s: float) -> object:
    """Wait for a result as a client does, and return its value; raises the error of a failure."""
    message = broker.get_actor("add").message(0, 0).copy(message_id=task_id)
    return message.get_result(backend=broker.get_results_backend(), block=True, timeout=int(timeout_s * 1000))


for _job in make_jobs(store, notes=redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"]), send=send):
    _retries = int(_job.__name__ == RETRIED)
    dramatiq.actor(_job, broker=broker, queue_name=QUEUE, max_retries=_retries, min_backoff=1, max_backoff=2)
