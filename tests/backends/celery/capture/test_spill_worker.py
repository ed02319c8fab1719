"""Spill through real workers over RabbitMQ, Redis and MinIO: what travels, what is stored, and how to upgrade to it."""

import hashlib
import os
import subprocess
import sys
import tempfile
import uuid

import pytest
import redis
from celery import Celery, chain, chord, group

from resultstore.backends.celery import store_of
from tests.backends.celery.conftest import HERE, start_worker

pytestmark = pytest.mark.usefixtures("worker")
MB = 1_000_000


@pytest.fixture
def tasks(app: Celery):
    return lambda name: app.tasks[f"worker_app.{name}"]


@pytest.fixture
def largest(environment: dict[str, str], redis_url: str):
    """Gives the length of the largest message since the test began."""
    client = redis.Redis.from_url(redis_url)
    client.zrem("largest", environment["RS_TEST_QUEUE"])
    yield lambda: client.zscore("largest", environment["RS_TEST_QUEUE"])
    client.zrem("largest", environment["RS_TEST_QUEUE"])


def keys(app: Celery) -> set[str]:
    return {stored.key for stored in store_of(app).blobs.list("blobs/")}


def test_chord_of_large_parts_sends_no_large_message(app: Celery, tasks, largest, redis_url: str):
    header = [tasks("large_value").s(MB + number) for number in range(100)]

    result = chord(header)(tasks("lengths").s())

    assert result.get(timeout=90) == [MB + number for number in range(100)]
    assert largest() <= 16 << 10
    client = redis.Redis.from_url(redis_url)
    records = [app.backend.get_key_for_task(one.id) for one in result.parent.results]
    assert sum(client.memory_usage(key) for key in records) < 100 * 2_000


def test_body_gets_all_lazy_parts_in_order(tasks, largest):
    header = [tasks("large_value").s(20_000 + number) for number in range(40)]

    assert chord(header)(tasks("lazy_lengths").s()).get(timeout=60) == [20_000 + number for number in range(40)]
    assert largest() <= 16 << 10


def test_a_header_with_groups_gives_its_values(tasks):
    nested = chord([group(tasks("large_value").s(n) for n in (20_000, 1)), tasks("large_value").s(30_000)])

    values = nested(tasks("shape").s()).get(timeout=60)

    assert sorted(len(one) for one in values) == [1, 20_000, 30_000]  # Celery unrolls groups in groups


def test_large_arguments_of_chain_links_are_references(tasks, largest):
    value = "v" * 3 * MB

    result = chain(tasks("shape").s(value), tasks("shape").s(), tasks("digest").s())()

    assert result.get(timeout=60) == hashlib.sha256(value.encode()).hexdigest()
    assert largest() <= 4 << 10


def test_value_in_many_messages_is_one_object(app: Celery, tasks):
    value, before = "v" * MB + uuid.uuid4().hex, keys(app)

    group(tasks("digest").s(value) for _ in range(20))().get(timeout=60)

    assert len(keys(app) - before) == 1


def test_waiter_gets_the_value_redis_the_reference(app: Celery, tasks, redis_url: str):
    result = tasks("large_value").delay(3 * MB)

    assert len(result.get(timeout=30)) == 3 * MB
    client = redis.Redis.from_url(redis_url)
    assert sum(client.memory_usage(key) for key in client.scan_iter(f"*{result.id}*")) < 2_000
    client.delete(*client.scan_iter(f"*{result.id}*"))
    assert len(app.AsyncResult(result.id).get(timeout=30)) == 3 * MB


@pytest.fixture(scope="module")
def old(environment: dict[str, str]):
    """A worker without the package, on a queue of its own, and where to send to it."""
    own = {**os.environ, **environment, "RS_TEST_QUEUE": f"queue-{uuid.uuid4().hex}"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "old_worker", "worker", "-c", "1", "--without-mingle", "-P", "solo"],
            cwd=HERE, env=own, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield own["RS_TEST_QUEUE"]
        finally:
            process.terminate()
            process.wait(20)


SENDS = """
import hashlib, os, sys
import worker_app
from celery.result import AsyncResult
value = "v" * 100_000
sent = worker_app.digest.apply_async((value,), queue=os.environ["RS_TEST_OLD"])
plain = worker_app.Celery("reader", backend=os.environ["RS_TEST_REDIS_URL"])
print(AsyncResult(sent.id, app=plain).get(timeout=float(sys.argv[1])))
"""


def send_to(old: str, environment: dict[str, str], *, spill: str, wait_s: float) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environment, "RS_TEST_SPILL": spill, "RS_TEST_OLD": old}
    command = [sys.executable, "-c", SENDS, str(wait_s)]
    return subprocess.run(command, cwd=HERE, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_first_upgrade_step_sends_what_old_workers_read(old: str, environment: dict[str, str]):
    done = send_to(old, environment, spill="no", wait_s=30)

    assert done.stdout.strip() == "100000", done.stderr


def test_the_second_step_is_not_for_old_workers(old: str, environment: dict[str, str]):
    done = send_to(old, environment, spill="yes", wait_s=1)

    assert done.returncode
    assert "TimeoutError" in done.stderr


def test_first_upgrade_step_reads_what_the_second_sends(app: Celery, environment: dict[str, str], tasks):
    first = {**environment, "RS_TEST_QUEUE": f"queue-{uuid.uuid4().hex}", "RS_TEST_SPILL": "no"}
    with tempfile.TemporaryFile() as log:
        process = start_worker(first, log)
        try:
            sent = tasks("large_value").apply_async((MB,), queue=first["RS_TEST_QUEUE"])
            digested = tasks("digest").apply_async(("v" * MB,), queue=first["RS_TEST_QUEUE"])
            assert len(sent.get(timeout=30)) == MB
            assert digested.get(timeout=30) == hashlib.sha256(b"v" * MB).hexdigest()
        finally:
            process.terminate()
            process.wait(20)
    assert store_of(app).index.load(sent.id).value is None  # no reference: the value is in the sealed blob, as before
