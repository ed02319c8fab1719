"""The main job through a real worker: large outputs travel as Artifacts and are fetched by presigned URL."""

import hashlib
import json
import os
import signal
import tempfile
import time
import urllib.request
import uuid

import pytest
import redis
from celery import Celery, chain, chord, group
from celery.exceptions import TimeoutError as CeleryTimeoutError

from resultstore import Artifact, BadInput, State
from resultstore.backends.celery import store_of
from tests.backends.celery.conftest import start_worker

pytestmark = pytest.mark.usefixtures("worker")


def send(app: Celery, name: str, *args: object, **kwargs: object):
    return app.tasks[f"worker_app.{name}"].delay(*args, **kwargs)


def read(app: Celery, artifact: Artifact) -> bytes:
    with store_of(app).open(artifact) as content:
        return content.read()


def test_a_generator_of_bytes_becomes_an_artifact_that_a_url_fetches(app: Celery):
    artifact = send(app, "stream", 20).get(timeout=60)

    assert isinstance(artifact, Artifact)
    with urllib.request.urlopen(store_of(app).url(artifact)) as answer:
        content = answer.read()
    assert len(content) == artifact.size_bytes == 20 << 20
    assert hashlib.sha256(content).hexdigest() == artifact.sha256
    assert read(app, artifact) == content


def test_an_output_keeps_its_name_type_and_metadata(app: Celery):
    artifact = send(app, "named").get(timeout=20)

    assert (artifact.name, artifact.media_type, artifact.metadata) == ("report.pdf", "application/pdf", {"pages": 3})
    with urllib.request.urlopen(store_of(app).url(artifact)) as answer:
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "report.pdf" in answer.headers["content-disposition"]
        assert answer.headers["content-type"] == "application/pdf"


@pytest.mark.parametrize(
    ("task", "content"), [("from_path", b"a,b\n1,2\n"), ("from_file", b"from a file"), ("registered", b"registered")]
)
def test_every_way_of_returning_bytes_is_captured(app: Celery, task: str, content: bytes):
    assert read(app, send(app, task).get(timeout=20)) == content


def test_a_task_with_a_base_class_is_captured(app: Celery):
    assert read(app, send(app, "with_a_base").get(timeout=20)) == b"base"


def test_outputs_inside_containers_are_captured(app: Celery):
    value = send(app, "several").get(timeout=20)

    assert value["count"] == 2
    assert [read(app, artifact) for artifact in value["thumbs"]] == [b"1", b"22"]


def test_parts_are_bound_by_one_seal(app: Celery):
    result = send(app, "parts")
    made = result.get(timeout=20)

    found = store_of(app).load(result.id)
    assert found.artifacts == tuple(made)
    assert found.sealed
    assert found.task == "worker_app.parts"


def test_a_plain_value_passes_as_it_is(app: Celery):
    assert send(app, "add", 2, 3).get(timeout=20) == 5


@pytest.mark.parametrize("size_bytes", [10, 16_000, 17_000, 48_000, 60_000, 3_000_000])
def test_a_plain_value_comes_back_whatever_its_size(app: Celery, size_bytes: int):
    result = send(app, "large_value", size_bytes)

    assert result.get(timeout=30) == "v" * size_bytes
    assert app.AsyncResult(result.id).get(timeout=5) == "v" * size_bytes
    assert app.AsyncResult(result.id).state == "SUCCESS"


def test_a_large_value_does_not_stand_in_redis(app: Celery, redis_url: str):
    result = send(app, "large_value", 3_000_000)
    result.get(timeout=30)

    client = redis.Redis.from_url(redis_url)
    sizes = [client.memory_usage(key) for key in client.scan_iter(f"*{result.id}*")]
    assert sizes
    assert sum(sizes) < 2_000


def test_a_chain_hands_the_artifact_on(app: Celery):
    tasks = app.tasks

    assert chain(tasks["worker_app.stream"].s(3), tasks["worker_app.size_of"].s())().get(timeout=30) == 3 << 20


def test_a_chord_body_gets_the_artifacts(app: Celery):
    tasks = app.tasks
    header = group(tasks["worker_app.stream"].s(n) for n in (1, 2, 3))

    assert chord(header)(tasks["worker_app.sizes_of"].s()).get(timeout=60) == [1 << 20, 2 << 20, 3 << 20]


def test_a_generator_that_fails_is_a_failure_that_names_the_input_and_leaves_no_blob(app: Celery):
    result = send(app, "failing_stream")

    with pytest.raises(BadInput, match=r"cat\.jpg"):
        result.get(timeout=30)

    found = store_of(app).load(result.id)
    assert found.state == State.FAILURE
    assert found.failure.type == "BadInput"
    assert "cat.jpg" in found.failure.message
    blobs = store_of(app).blobs
    assert [stored for stored in blobs.list("blobs/") if result.id in stored.key] == []
    assert [stored for stored in blobs.list("seals/") if result.id in stored.key] == []


def test_an_unknown_argument_is_a_failure_that_names_it(app: Celery):
    result = app.send_task("worker_app.add", (1,), {"z": 3})

    with pytest.raises(TypeError, match="z"):
        result.get(timeout=20)


def test_a_generator_that_fails_once_is_retried(app: Celery):
    assert read(app, send(app, "retried_stream").get(timeout=30)) == b"attempt 1"


def test_a_task_called_like_a_function_returns_what_it_returns(app: Celery):
    assert send(app, "calls_another").get(timeout=20) == "generator"


def test_an_unknown_id_is_pending(app: Celery):
    unknown = app.AsyncResult(str(uuid.uuid4()))

    assert unknown.state == "PENDING"
    with pytest.raises(CeleryTimeoutError):
        unknown.get(timeout=0.3)


def test_what_is_sealed_survives_the_loss_of_redis(app: Celery, redis_url: str):
    result = send(app, "named")
    result.get(timeout=20)
    client = redis.Redis.from_url(redis_url)
    client.delete(*client.scan_iter(f"*{result.id}*"))  # FLUSHALL would take other tests' keys

    again = app.AsyncResult(result.id)

    assert again.state == "SUCCESS"
    assert read(app, again.get(timeout=10)) == b"%PDF-1.7 report"


def test_little_travels_through_the_broker_for_a_large_output(app: Celery):
    """What a chain's next message carries is the Artifact: under 2 KB."""
    artifact = send(app, "stream", 5).get(timeout=30)

    assert len(store_of(app).url(artifact)) < 2_000
    assert len(json.dumps(app.backend.encoded(artifact).decode())) < 2_000


def test_a_worker_killed_in_mid_upload_leaves_nothing_readable(app: Celery, environment: dict[str, str]):
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
