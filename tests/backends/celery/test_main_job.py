"""The main job through a real worker: large outputs travel as Artifacts and are fetched by presigned URL."""

import json
import os
import signal
import tempfile
import time
import uuid

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import TaskRevokedError, TimeoutError as CeleryTimeoutError

from resultstore import Artifact
from resultstore.backends.celery import store_of
from tests.backends.celery.conftest import start_worker

pytestmark = pytest.mark.usefixtures("worker")


def send(app: Celery, name: str, *args: object, **kwargs: object):
    return app.tasks[f"worker_app.{name}"].delay(*args, **kwargs)


def read(app: Celery, artifact: Artifact) -> bytes:
    with store_of(app).open(artifact) as content:
        return content.read()


@pytest.mark.parametrize(("task", "content"), [("with_a_base", b"base"), ("registered", b"registered")])
def test_task_with_its_own_class_is_captured(app: Celery, task: str, content: bytes):
    assert read(app, send(app, task).get(timeout=20)) == content


def test_a_chain_hands_the_artifact_on(app: Celery):
    tasks = app.tasks

    assert chain(tasks["worker_app.stream"].s(3), tasks["worker_app.size_of"].s())().get(timeout=30) == 3 << 20


def test_a_chord_body_gets_the_artifacts(app: Celery):
    tasks = app.tasks
    header = group(tasks["worker_app.stream"].s(n) for n in (1, 2, 3))

    assert chord(header)(tasks["worker_app.sizes_of"].s()).get(timeout=60) == [1 << 20, 2 << 20, 3 << 20]


def test_revoked_task_with_a_countdown_ends_its_waiter(app: Celery):
    result = app.send_task("worker_app.add", (1, 1), countdown=600)
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=30)


def test_failure_names_an_unknown_argument(app: Celery):
    result = app.send_task("worker_app.add", (1,), {"z": 3})

    with pytest.raises(TypeError, match="z"):
        result.get(timeout=20)


def test_task_called_as_a_function_is_not_captured(app: Celery):
    assert send(app, "calls_another").get(timeout=20) == "generator"


def test_an_unknown_id_is_pending(app: Celery):
    unknown = app.AsyncResult(str(uuid.uuid4()))

    assert unknown.state == "PENDING"
    with pytest.raises(CeleryTimeoutError):
        unknown.get(timeout=0.3)


def test_large_output_sends_little_through_the_broker(app: Celery):
    """What a chain's next message carries is the Artifact: under 2 KB."""
    artifact = send(app, "stream", 5).get(timeout=30)

    assert len(store_of(app).url(artifact)) < 2_000
    assert len(json.dumps(app.backend.encoded(artifact).decode())) < 2_000


def test_worker_killed_during_upload_leaves_nothing_readable(app: Celery, environment: dict[str, str]):
    # given: a second worker on a queue of its own, streaming for long
    own = {**environment, "RS_TEST_QUEUE": f"queue-{uuid.uuid4().hex}"}
    with tempfile.TemporaryFile() as log:
        victim = start_worker(own, log)
        result = app.tasks["worker_app.stream"].apply_async((2_000,), queue=own["RS_TEST_QUEUE"])
        quick = app.tasks["worker_app.add"].apply_async((1, 1), queue=own["RS_TEST_QUEUE"])
        assert quick.get(timeout=30) == 2

        # when
        time.sleep(0.5)
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait(10)

    # then
    store = store_of(app)
    assert app.AsyncResult(result.id).state != "SUCCESS"
    assert [stored for stored in store.blobs.list("blobs/") if result.id in stored.key] == []
    assert [stored for stored in store.blobs.list("seals/") if result.id in stored.key] == []
