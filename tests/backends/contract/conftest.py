"""One real worker of each backend over RabbitMQ, Redis and MinIO, for the tests that all backends run."""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import kombu
import pytest
import redis

from resultstore import Artifact, Store
from resultstore.capture.run_counts import RunCounts

ROOT = Path(__file__).resolve().parents[3]
BACKENDS = ("celery", "dramatiq", "taskiq")
LIMIT_S = 60


class Backend:
    """One backend with its worker, as the tests of the contract use it.

    Args:
        adapter: the module of the backend's adapter.
        lost: the id of a job whose message lost as many workers as it may lose.
    """

    def __init__(self, adapter: ModuleType, *, lost: str) -> None:
        self._adapter = adapter
        self.lost = lost
        self.lacks: dict[str, str] = adapter.LACKS
        self.store: Store = adapter.store
        self.expires_s: int = adapter.EXPIRES_S
        self.notes = redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"])

    def send(self, job: str, *args: object, owner: str = "", id: str | None = None) -> str:
        """Send a job, and return its id."""
        return self._adapter.send(job, *args, owner=owner, id=id or str(uuid.uuid4()))

    def value(self, task_id: str) -> object:
        """Wait for the result of an id, and return its value; raises what the backend raises for a failure."""
        return self._adapter.value(task_id, LIMIT_S)

    def run(self, job: str, *args: object, owner: str = "") -> object:
        """Send a job, and wait for its value."""
        return self.value(self.send(job, *args, owner=owner))

    def read(self, artifact: Artifact) -> bytes:
        """Return an Artifact's content."""
        with self.store.open(artifact) as content:
            return content.read()

    def objects(self, task_id: str) -> list[str]:
        """Return the keys of all objects of an id."""
        listed = [*self.store.blobs.list("blobs/"), *self.store.blobs.list("seals/")]
        return [stored.key for stored in listed if task_id in stored.key]

    def hold(self, outcome: str = "value") -> tuple[str, str]:
        """Occupy the worker, which runs one job at a time; return the id of that job, and the gate that ends it."""
        gate = uuid.uuid4().hex
        held = self.send("waits", gate, outcome)
        eventually(lambda: self.notes.exists(f"{gate}:begun"))
        return held, gate

    def release(self, gate: str) -> None:
        """Let the worker go on."""
        self.notes.rpush(gate, "go")

    def drain(self) -> None:
        """Wait until the worker has run all that was sent before."""
        assert self.run("add", 1, 1) == 2


def eventually(found: Callable[[], object]) -> object:
    """Return what `found` returns as soon as it is true."""
    until = time.monotonic() + LIMIT_S
    while not (got := found()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return got


@pytest.fixture(scope="module", params=BACKENDS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def further(name: str, redis_url: str) -> dict[str, str]:
    return {"RESULTSTORE_INDEX_URL": redis_url}


@pytest.fixture(scope="module")
def backend(name: str, environment: dict[str, str]) -> Iterator[Backend]:
    """The backend; its worker is ready when it has run a job."""
    module = f"tests.backends.contract.{name}_adapter"
    sys.modules.pop(module, None)
    adapter = importlib.import_module(module)
    adapter.start()
    lost = adapter.send("add", 20, 3, id=str(uuid.uuid4()))
    redeliver(environment)
    counts = RunCounts(adapter.store.index)
    for _ in range(adapter.store.settings.results.max_runs):
        counts.begin(lost)
    with working(adapter.COMMAND, environment):
        made = Backend(adapter, lost=lost)
        made.drain()
        yield made
    adapter.stop()
    sys.modules.pop(module, None)


@contextmanager
def working(command: list[str], environment: dict[str, str]) -> Iterator[None]:
    """Run a worker; its output is printed at the end."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-12_000:])


def redeliver(environment: dict[str, str]) -> None:
    """Take the one message of the queue, and return it: RabbitMQ marks it as redelivered."""
    with kombu.Connection(environment["RS_TEST_AMQP_URL"]) as connection:
        channel = connection.default_channel
        message = eventually(lambda: channel.basic_get(environment["RS_TEST_QUEUE"]))
        channel.basic_reject(message.delivery_tag, requeue=True)


@pytest.fixture(autouse=True)
def _promise(request: pytest.FixtureRequest, backend: Backend) -> None:
    """Expect a failure where the adapter lists the promise as lacking; a backend that keeps it must not list it."""
    marker = request.node.get_closest_marker("promise")
    if marker is not None and (reason := backend.lacks.get(marker.args[0])):
        broken = (AssertionError, pytest.fail.Exception)  # no time limit, and no error of a server
        lacking = pytest.mark.xfail(reason=f"lacks {marker.args[0]}: {reason}", strict=True, raises=broken)
        request.node.add_marker(lacking)
