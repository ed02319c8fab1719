"""A real Dramatiq worker over RabbitMQ, Redis and MinIO."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import dramatiq
import pytest

from resultstore import Store
from resultstore.backends.dramatiq import store_of

HERE = Path(__file__).parent
START_LIMIT_S = 40
READY = b"ready for action"


@pytest.fixture(scope="module")
def further(redis_url: str, amqp_url: str) -> dict[str, str]:
    # kombu writes the virtual host `/` as a second slash, pika as %2F.
    return {"RESULTSTORE_INDEX_URL": redis_url, "RS_TEST_AMQP_URL": amqp_url.removesuffix("//") + "/%2F"}


@pytest.fixture(scope="module")
def jobs(environment: dict[str, str]) -> Iterator[ModuleType]:
    """The worker's module as a client sees it."""
    before = dramatiq.get_encoder()
    spec = importlib.util.spec_from_file_location("dramatiq_jobs", HERE / "dramatiq_jobs.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["dramatiq_jobs"] = module
    spec.loader.exec_module(module)
    yield module
    dramatiq.set_encoder(before)
    for queue in list(module.broker.queues):
        for suffix in ("", ".DQ", ".XQ"):
            module.broker.channel.queue_delete(queue + suffix)
    module.broker.close()


@pytest.fixture(scope="module")
def store(jobs: ModuleType) -> Store:
    return store_of(jobs.broker)


@pytest.fixture(scope="module")
def worker(environment: dict[str, str], jobs: ModuleType) -> Iterator[None]:
    """The worker's process, once its log says that it is ready."""
    with tempfile.TemporaryFile() as log:
        process = start_worker(environment, log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-12_000:])


def start_worker(environment: dict[str, str], log) -> subprocess.Popen[bytes]:
    """Start a worker of one process and two threads on the queue that RS_TEST_QUEUE names."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dramatiq", "dramatiq_jobs", "--path", str(HERE), "--processes", "1", "--threads", "2"],
        cwd=HERE.parents[2],
        env={**os.environ, **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    until = time.monotonic() + START_LIMIT_S
    while READY not in (said := os.pread(log.fileno(), 1 << 20, 0)):
        assert process.poll() is None, said.decode()
        assert time.monotonic() < until, said.decode()
        time.sleep(0.1)
    return process
