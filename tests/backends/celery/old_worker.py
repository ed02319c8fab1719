"""A worker as it was before resultstore came: Celery alone, its results in Redis."""

import os
import sys

sys.modules["resultstore"] = None  # not installed: an import fails

from celery import Celery  # noqa: E402 - the line before comes first

app = Celery("worker_app", broker=os.environ["RS_TEST_AMQP_URL"], backend=os.environ["RS_TEST_REDIS_URL"])
app.conf.update(task_default_queue=os.environ["RS_TEST_QUEUE"], broker_connection_retry_on_startup=True)


@app.task(name="worker_app.large_value")
def large_value(size_bytes: int) -> str:
    return "v" * size_bytes


@app.task(name="worker_app.digest")
def digest(value: str) -> int:
    return len(value)
