"""A real taskiq worker over RabbitMQ, Redis and MinIO."""

import asyncio
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
from taskiq import AsyncTaskiqTask, TaskiqResult

from resultstore import Artifact, Store
from resultstore.backends.taskiq import store_of

HERE = Path(__file__).parent


class Client:
    """Calls the tasks from one event loop."""

    def __init__(self, app: ModuleType, runner: asyncio.Runner) -> None:
        self.app = app
        self.store: Store = store_of(app.broker)
        self._runner = runner

    def run(self, coroutine: Coroutine):
        return self._runner.run(coroutine)

    def send(self, task: str, *args: object, id: str | None = None) -> AsyncTaskiqTask:
        return self.run(getattr(self.app, task).kicker().with_task_id(id).kiq(*args))

    def wait(self, sent: AsyncTaskiqTask, timeout_s: float = 40) -> TaskiqResult:
        return self.run(sent.wait_result(timeout=timeout_s))

    def value(self, task: str, *args: object):
        return self.wait(self.send(task, *args)).raise_for_error().return_value

    def read(self, artifact: Artifact) -> bytes:
        with self.store.open(artifact) as content:
            return content.read()

    def objects(self, task_id: str) -> list[str]:
        """Return the keys of all objects of an id."""
        listed = [*self.store.blobs.list("blobs/"), *self.store.blobs.list("seals/")]
        return [stored.key for stored in listed if task_id in stored.key]


@pytest.fixture(scope="module")
def further(redis_url: str) -> dict[str, str]:
    return {"RESULTSTORE_INDEX_URL": redis_url}


@contextmanager
def connected(environment: dict[str, str]) -> Iterator[Client]:
    """Connect a client to the queue that `environment` names."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setenv("RS_TEST_QUEUE", environment["RS_TEST_QUEUE"])
        spec = importlib.util.spec_from_file_location("taskiq_app", HERE / "taskiq_app.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "taskiq_app", module)
        spec.loader.exec_module(module)
        runner.run(module.broker.startup())
        yield Client(module, runner)
        runner.run(module.broker.shutdown())


@contextmanager
def working(environment: dict[str, str], *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker; its output is in `.log`, and is printed at the end."""
    command = [sys.executable, "-m", "taskiq", "worker", "taskiq_app:broker", "--workers", "1", *options]
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=HERE,
            env={**os.environ, **environment, "RS_TEST_IN_WORKER": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        process.log = Path(log.name)
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            sys.stdout.write(process.log.read_text(errors="replace")[-12_000:])


@pytest.fixture(scope="module")
def client(environment: dict[str, str]) -> Iterator[Client]:
    """The caller's side."""
    with connected(environment) as made:
        yield made


@pytest.fixture(scope="module")
def worker(environment: dict[str, str], client: Client) -> Iterator[subprocess.Popen[bytes]]:
    """The worker's process; it is ready when it answers."""
    with working(environment, "--max-threadpool-threads", "2") as process:
        assert client.value("add", 1, 1) == 2
        yield process


@pytest.fixture
def quiet_receiver(caplog: pytest.LogCaptureFixture) -> None:
    """Let taskiq log no exception: older ones format its text, and pytest's handler raises what logging would print."""
    caplog.set_level(logging.CRITICAL, logger="taskiq.receiver.receiver")
