"""Celery's adapter of the contract: its app, its worker's command, and how a client sends and asks."""

import os
import sys
import uuid

import redis
from celery import Celery

from resultstore import LIBRARY_ADAPTERS
from resultstore.backends.celery import setup, store_of
from resultstore.model.headers import OWNER_HEADER
from tests.backends.contract.jobs import RETRIED, make_jobs

LACKS = {
    "refusal of a deleted id at dispatch": "send_task asks no server; the worker refuses the id instead",
}
EXPIRES_S = 900
COMMAND = [
    *(sys.executable, "-m", "celery", "-A", "tests.backends.contract.celery_adapter", "worker"),
    *("--concurrency", "1", "--without-mingle", "--without-gossip", "--hostname", f"{uuid.uuid4().hex}@%h"),
]

app = Celery(
    "contract", broker=os.environ["RS_TEST_AMQP_URL"], backend="resultstore+" + os.environ["RS_TEST_REDIS_URL"]
)
app.conf.update(
    task_default_queue=os.environ["RS_TEST_QUEUE"],
    worker_prefetch_multiplier=1,
    result_expires=EXPIRES_S,
    broker_connection_retry_on_startup=True,
)
setup(app, adapters=LIBRARY_ADAPTERS)
store = store_of(app)


def start() -> None:
    """Get ready to send."""


def stop() -> None:
    """Close the connections."""
    app.close()


def send(job: str, *args: object, owner: str = "", id: str | None = None) -> str:
    """Send a job, and return its id."""
    headers = {OWNER_HEADER: owner} if owner else {}
    return app.send_task(f"contract.{job}", args, task_id=id, headers=headers).id


def value(task_id: str, timeout_s: float) -> object:
    """Wait for a result as a client does, and return its value; raises the error of a failure."""
    return app.AsyncResult(task_id).get(timeout=timeout_s)


for _job in make_jobs(store, notes=redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"]), send=send):
    _retry = {"autoretry_for": (OSError,), "retry_kwargs": {"max_retries": 1, "countdown": 0}}
    app.task(name=f"contract.{_job.__name__}", **(_retry if _job.__name__ == RETRIED else {}))(_job)
