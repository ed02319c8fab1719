"""Work that kills its worker process: it ends as a failure after three runs, on RabbitMQ and on Redis as the broker."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery, chord
from celery.exceptions import ChordError, WorkerLostError

from resultstore.model import layout
from tests.index.redis.conftest import PrivateRedis

HERE = Path(__file__).parents[1]
LONG_S = 90  # each lost process is replaced by the pool: seconds on a loaded machine


@pytest.fixture(scope="module", params=["rabbitmq", "redis"])
def broker_url(request, amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Each broker in turn; the Redis is one of the module's own, because Celery's keys have no prefix."""
    if request.param == "rabbitmq":
        yield amqp_url
        return
    server = PrivateRedis(tmp_path_factory.mktemp("broker"))
    server.start()
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def further(broker_url: str) -> dict[str, str]:
    return {"RS_TEST_BROKER_URL": broker_url}


@pytest.fixture(scope="module")
def app(environment: dict[str, str]) -> Celery:
    """The app as a client sees it."""
    spec = importlib.util.spec_from_file_location("killing_app", HERE / "killing_app.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["killing_app"] = module
    spec.loader.exec_module(module)
    return module.app


@pytest.fixture(scope="module", autouse=True)
def worker(environment: dict[str, str], app: Celery) -> Iterator[None]:
    """A prefork worker with one child; its log is shown when a test fails."""
    command = [sys.executable, "-m", "celery", "-A", "killing_app", "worker", "--concurrency", "1", "--without-mingle"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--hostname", f"{uuid.uuid4().hex}@%h", "--loglevel", "INFO"],
            cwd=HERE,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            app.send_task("killing_app.add", (1, 1)).get(timeout=60)
            yield
        finally:
            process.terminate()
            process.wait(60)
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-8_000:])


@pytest.fixture
def counted(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


def eventually(happened: Callable[[], bool]) -> None:
    """Wait for what follows the stored outcome."""
    end = time.monotonic() + LONG_S
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_work_that_kills_its_process_fails_finally(app: Celery, counted: redis.Redis):
    sent = app.send_task("killing_app.poison", link_error=app.signature("killing_app.note_failure"))

    with pytest.raises(WorkerLostError, match=f"poison {sent.id} was started 3 times.*read the worker's log"):
        sent.get(timeout=LONG_S)

    assert sent.state == "FAILURE"
    assert int(counted.get(f"runs of {sent.id}")) == 3
    eventually(lambda: counted.get(f"errback of {sent.id}") == b"1")
    eventually(lambda: not counted.exists(layout.runs_key(sent.id)))


def test_autoretry_does_not_pass_the_run_limit(app: Celery, counted: redis.Redis):
    sent = app.send_task("killing_app.retried_poison")

    with pytest.raises(WorkerLostError, match="was started 3 times"):
        sent.get(timeout=LONG_S)

    assert int(counted.get(f"runs of {sent.id}")) == 3


def test_lost_runs_below_the_limit_succeed(app: Celery, counted: redis.Redis):
    sent = app.send_task("killing_app.poison", (3,))

    assert sent.get(timeout=LONG_S) == 3
    eventually(lambda: not counted.exists(layout.runs_key(sent.id)))


def test_chord_fails_when_a_part_kills_its_process(app: Celery):
    add, poison = app.signature("killing_app.add"), app.signature("killing_app.poison")

    body = chord([add.clone((1, 1)), poison.clone()], app.signature("killing_app.add", args=(1,)))()

    with pytest.raises((ChordError, WorkerLostError), match="was started 3 times"):
        body.get(timeout=LONG_S)
