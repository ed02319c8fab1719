"""Going back: with Celery's own backend, the tasks of an app with `setup` are plain Celery tasks."""

import io
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery, Task, chord

from resultstore import Misconfigured, Output
from resultstore.backends.celery import setup
from resultstore.backends.celery.codec.kombu_types import read_references, write_references
from resultstore.model.spill import Spill

SPILL = Spill(
    id="x", key="k", size_bytes=1, stored_bytes=1, sha256="0" * 64, media_type="application/json", expires_at=None
)

WORKER = """
import os
from celery import Celery
from resultstore import Output
from resultstore.backends.celery import setup

app = Celery("went_back", broker=os.environ["RS_TEST_REDIS_URL"], backend=os.environ["RS_TEST_REDIS_URL"])
app.conf.update(task_default_queue=os.environ["RS_TEST_QUEUE"], broker_connection_retry_on_startup=True)
setup(app)

@app.task
def add(x, y):
    return x + y

@app.task
def report():
    return Output(data=b"a,b", name="report.csv")

@app.task
def total(parts):
    return sum(parts)
"""


class OwnCall(Task):
    def __call__(self, *args: object, **kwargs: object) -> object:
        return self.run(*args, **kwargs)


@pytest.fixture(params=["cache+memory://", "disabled://"])
def app(request: pytest.FixtureRequest) -> Celery:
    made = Celery("went_back", broker="memory://", backend=request.param, set_as_current=False)
    setup(made)
    return made


@pytest.mark.parametrize("options", [{}, {"base": OwnCall}, {"autoretry_for": (OSError,)}])
def test_task_runs_as_a_plain_one(app: Celery, options: dict[str, object]):
    @app.task(shared=False, name="add", **options)
    def add(x: int, y: int) -> int:
        return x + y

    assert add.apply((1, 2)).get() == 3
    assert add(1, 2) == 3


def generated() -> Iterator[bytes]:
    yield b"bytes"


@pytest.mark.parametrize(
    "returned",
    [Output(data=b"a"), Path("a.csv"), io.BytesIO(b"a"), [1, Output(data=b"a")], {"report": (Path("a.csv"),)}, None],
    ids=["output", "path", "file", "list", "dict", "generator"],
)
def test_task_that_returns_a_file_fails_with_the_reason(app: Celery, returned: object):
    @app.task(shared=False, name="report")
    def report() -> object:
        return generated() if returned is None else returned

    with pytest.raises(Misconfigured, match=r"report returns a file .*resultstore\+redis://"):
        report.apply().get()


@pytest.mark.parametrize("argument", [SPILL, write_references(SPILL), read_references(SPILL)])
def test_reference_is_refused_with_the_reason(app: Celery, argument: object):
    @app.task(shared=False, name="size")
    def size(value: object) -> int:
        raise AssertionError(value)

    with pytest.raises(Misconfigured, match="an argument of size is a reference"):
        size.apply((argument,)).get()


def test_worker_warns_once_and_runs_its_tasks(redis_url: str, tmp_path: Path):
    (tmp_path / "went_back.py").write_text(WORKER)
    queue, log = uuid.uuid4().hex, tmp_path / "log"
    environment = {**os.environ, "RS_TEST_QUEUE": queue}
    client = Celery("client", broker=redis_url, backend=redis_url, set_as_current=False)
    client.conf.task_default_queue = queue
    command = [sys.executable, "-m", "celery", "-A", "went_back", "worker", "--concurrency", "1", "--loglevel", "INFO"]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle", "--hostname", f"{queue}@%h"],
            cwd=tmp_path, env=environment, stdout=sink, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            assert client.send_task("went_back.add", (1, 2)).get(timeout=60) == 3
            header = [client.signature("went_back.add", (n, 1)) for n in range(3)]
            assert chord(header, client.signature("went_back.total"), app=client).delay().get(timeout=60) == 6
            with pytest.raises(Exception, match=r"went_back\.report returns a file"):
                client.send_task("went_back.report").get(timeout=60)
        finally:
            process.terminate()
            process.wait(20)
    lines = log.read_text()
    assert lines.count("tasks_are_plain_celery_tasks") == 1
    assert "raised" not in lines.partition("Task went_back.report")[0]
