"""A real Celery worker over RabbitMQ, Redis and MinIO."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from tests.index.redis.conftest import PrivateRedis

HERE = Path(__file__).parent
Made = Callable[..., Celery]  # makes an app with the given settings


@pytest.fixture(scope="module")
def app(environment: dict[str, str]) -> Celery:
    """The app as a client sees it."""
    spec = importlib.util.spec_from_file_location("worker_app", HERE / "worker_app.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["worker_app"] = module
    spec.loader.exec_module(module)
    return module.app


@pytest.fixture(scope="module")
def worker(environment: dict[str, str], app: Celery) -> Iterator[subprocess.Popen[bytes]]:
    """The worker's process; it is ready when it answers."""
    with tempfile.TemporaryFile() as log:
        process = start_worker(environment, log)
        try:
            app.send_task("worker_app.add", (1, 1)).get(timeout=30)
            yield process
        finally:
            process.terminate()
            process.wait(20)
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-8_000:])


def start_worker(environment: dict[str, str], log) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "celery", "-A", "worker_app", "worker", "--concurrency", "2", "--without-mingle"]
    return subprocess.Popen(
        [*command, "--without-gossip", "--hostname", f"{uuid.uuid4().hex}@%h", "--loglevel", "INFO"],
        cwd=HERE,
        env={**os.environ, **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRedis]:
    """A Redis of the module's own."""
    started = PrivateRedis(tmp_path_factory.mktemp("redis"))
    started.start()
    yield started
    started.stop()


@pytest.fixture
def raw(server: PrivateRedis) -> Iterator[redis.Redis]:
    """A raw client of the server, which is empty at first."""
    server.start()
    with redis.Redis(port=server.port) as client:
        client.flushall()
        client.config_resetstat()
        yield client


@pytest.fixture
def made(server: PrivateRedis, raw: redis.Redis) -> Made:
    """Makes an app with these settings."""

    def make(query: str = "", **conf: object) -> Celery:
        app = Celery("client", broker="memory://", backend=f"resultstore+{server.url}{query}", set_as_current=False)
        app.conf.update(conf)
        return app

    return make


@pytest.fixture
def client(made: Made) -> Celery:
    """A client's app without workers: the tests write what a worker would."""
    return made()


@pytest.fixture
def task_id() -> str:
    return uuid.uuid4().hex
