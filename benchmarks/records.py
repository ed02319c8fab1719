"""records: the memory of a tiny result in Redis, with key and time to live, compared with Celery's Redis backend."""

import os
import uuid
from statistics import median
from types import SimpleNamespace

import redis
from celery import Celery

from benchmarks.measuring import Row, row

RESULTS = 10_000
BATCHES = 3


def run() -> list[Row]:
    url = os.environ["RS_TEST_REDIS_URL"]
    ours, theirs = bytes_each("resultstore+" + url, url), bytes_each(url, url)
    return [row("record_bytes", "bytes", ours, "Celery redis backend", theirs)]


def bytes_each(backend_url: str, url: str) -> float:
    """Return the growth of used_memory for each stored result, and delete the keys again.

    It is the median of several batches: on a Redis with other keys, one batch may make its hash table double.
    """
    client = redis.Redis.from_url(url)
    backend = Celery("bench", backend=backend_url).backend
    store(backend, str(uuid.uuid4()))
    stored, grown = [], []
    for _ in range(BATCHES):
        ids = [str(uuid.uuid4()) for _ in range(RESULTS)]
        before = client.info("memory")["used_memory"]
        for result_id in ids:
            store(backend, result_id)
        grown.append(client.info("memory")["used_memory"] - before)
        stored += ids
    for result_id in stored:
        backend.forget(result_id)
    return median(grown) / RESULTS


def store(backend, result_id: str) -> None:
    request = SimpleNamespace(id=result_id, task="tasks.add", hostname="celery@worker-1", retries=0, delivery_info={})
    backend.store_result(result_id, 4, "SUCCESS", request=request)
