"""records: what a tiny result costs Redis, with key and time to live, against Celery's own Redis backend."""

import os
import uuid
from types import SimpleNamespace

import redis
from celery import Celery

from benchmarks.measuring import Row, row

RESULTS = 10_000


def run() -> list[Row]:
    url = os.environ["RS_TEST_REDIS_URL"]
    ours, theirs = bytes_each("resultstore+" + url, url), bytes_each(url, url)
    return [row("record_bytes", "bytes", ours, "Celery redis backend", theirs)]


def bytes_each(backend_url: str, url: str) -> float:
    """Growth of used_memory for each stored result; the keys are removed again."""
    client = redis.Redis.from_url(url)
    backend = Celery("bench", backend=backend_url).backend
    ids = [str(uuid.uuid4()) for _ in range(RESULTS)]
    store(backend, str(uuid.uuid4()))
    before = client.info("memory")["used_memory"]
    for result_id in ids:
        store(backend, result_id)
    grown = client.info("memory")["used_memory"] - before
    for result_id in ids:
        backend.forget(result_id)
    return grown / RESULTS


def store(backend, result_id: str) -> None:
    request = SimpleNamespace(id=result_id, task="tasks.add", hostname="celery@worker-1", retries=0, delivery_info={})
    backend.store_result(result_id, 4, "SUCCESS", request=request)
