"""An app whose tasks kill the process that runs them; it counts each run in Redis."""

import os
import signal

import redis
from celery import Celery

from resultstore.backends.celery import setup

app = Celery(
    "killing_app " + os.environ.get("RS_TEST_QUEUE", ""),
    broker=os.environ["RS_TEST_BROKER_URL"],
    backend="resultstore+" + os.environ["RS_TEST_REDIS_URL"],
)
app.conf.update(task_default_queue=os.environ.get("RS_TEST_QUEUE", "celery"), broker_connection_retry_on_startup=True)
setup(app, delivery="at-least-once")

runs = redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"])


def _die_until(task_id: str, run: int) -> int:
    """Count this run, and kill its process unless it is number `run`; 0 kills every run."""
    count = runs.incr(f"runs of {task_id}")
    if count != run:
        os.kill(os.getpid(), signal.SIGKILL)
    return count


@app.task(bind=True)
def poison(self, until: int = 0) -> int:
    return _die_until(self.request.id, until)


@app.task(bind=True, autoretry_for=(Exception,), max_retries=None, default_retry_delay=0)
def retried_poison(self) -> int:
    return _die_until(self.request.id, 0)


@app.task
def note_failure(failed_id: str) -> None:
    runs.incr(f"errback of {failed_id}")


@app.task
def add(first: int, second: int) -> int:
    return first + second
