"""What only taskiq has, on a real worker: async outputs, labels, errors, progress and dependencies."""

import time
import uuid

import pytest
import redis
from taskiq.exceptions import ResultGetError, TaskiqResultTimeoutError

from resultstore import Artifact, BadInput, ResultMissing, State, WrongType

pytestmark = pytest.mark.usefixtures("worker")


def test_async_generator_becomes_an_artifact(client):
    artifact = client.value("async_stream", 20)

    assert isinstance(artifact, Artifact)
    assert client.read(artifact) == b"m" * (20 << 20)


@pytest.mark.parametrize(
    ("task", "name", "content"),
    [("named", "report.pdf", b"%PDF-1.7 report"), ("named_stream", "stream.txt", b"from a stream")],
)
def test_output_of_an_async_task_is_captured(client, task: str, name: str, content: bytes):
    artifact = client.value(task)

    assert (artifact.name, client.read(artifact)) == (name, content)


@pytest.mark.parametrize("task", ["parts", "parts_in_a_thread"])
def test_parts_belong_to_the_task_that_stored_them(client, task: str):
    sent = [client.send(task, text) for text in ("red", "blue")]  # both run at the same time

    for one, text in zip(sent, ("red", "blue"), strict=True):
        made = client.wait(one).return_value
        found = client.store.load(one.task_id)
        assert found.artifacts == tuple(made)
        assert found.sealed
        assert found.task == f"taskiq_app:{task}"
        assert [client.read(artifact) for artifact in made] == [f"{text} {n}".encode() for n in range(3)]


@pytest.mark.parametrize("size_bytes", [10, 60_000])
def test_value_type_is_independent_of_size(client, size_bytes: int):
    mixed = client.value("mixed_value", size_bytes)
    assert mixed == {"text": "t" * size_bytes, "numbers": [1, 2.5, None, True], "nested": {"an": {"id": "x"}}}


def test_readiness_is_known_without_the_value(client):
    sent = client.send("large_value", 3_000_000)
    client.wait(sent)
    client.store.blobs.delete(client.objects(sent.task_id))

    assert client.run(sent.is_ready())
    with pytest.raises(ResultGetError):
        client.run(sent.get_result())


def test_result_has_labels_and_execution_time(client):
    kicker = client.app.parts.kicker().with_labels(tier="gold", weight=1.5, raw=b"\xff", urgent=True)
    result = client.wait(client.run(kicker.kiq("x")))

    assert {name: result.labels[name] for name in ("tier", "weight", "raw", "urgent")} == {
        "tier": "gold",
        "weight": 1.5,
        "raw": b"\xff",
        "urgent": True,
    }
    assert 0.15 <= result.execution_time < 10
    assert result.log is None
    assert not result.is_err


def test_error_arrives_in_its_own_class(client):
    sent = client.send("raises_bad_input")
    result = client.wait(sent)

    assert result.is_err
    assert result.return_value is None
    with pytest.raises(BadInput, match=r"cat\.jpg"):
        result.raise_for_error()
    found = client.store.load(sent.task_id)
    assert (found.state, found.failure.type, found.failure.module) == (
        State.FAILURE,
        "BadInput",
        "resultstore.model.errors",
    )
    assert "cat.jpg" in found.failure.message
    assert "raises_bad_input" in found.traceback


def test_error_of_an_unknown_class_arrives_by_name(client):
    error = client.wait(client.send("raises_an_unknown_class")).error

    assert type(error).__name__ == "OnlyInTheWorkerError"
    assert error.args[0] == "told"
    assert error.args[1].startswith("<object object")  # what is not JSON, by repr


def test_unwritable_value_fails_with_its_reason(client):
    result = client.wait(client.send("not_json"))

    with pytest.raises(WrongType, match="return plain values, or the bytes as an Output"):
        result.raise_for_error()


def test_failing_async_stream_leaves_no_blob(client):
    sent = client.send("failing_stream")

    with pytest.raises(BadInput, match=r"cat\.jpg"):
        client.wait(sent).raise_for_error()
    assert client.objects(sent.task_id) == []


def test_unknown_id_is_not_ready(client):
    unknown = client.send("add", 1, 1)
    client.wait(unknown)
    unknown.task_id = uuid.uuid4().hex

    assert not client.run(unknown.is_ready())
    with pytest.raises(ResultGetError) as refused:
        client.run(unknown.get_result())
    assert isinstance(refused.value.__cause__, ResultMissing)
    with pytest.raises(TaskiqResultTimeoutError):
        client.wait(unknown, timeout_s=0.3)


def test_announcement_wakes_a_waiter(client, redis_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("resultstore.store.waiting.RECHECK_S", 3_600.0)
    monkeypatch.setattr("resultstore.backends.taskiq.woken_tasks.SLICE_S", 3_600.0)
    gate = uuid.uuid4().hex
    sent = client.send("waits", gate)
    opened = redis.Redis.from_url(redis_url)

    async def until_announced():
        waiting = client.app.asyncio.ensure_future(sent.wait_result(check_interval=3_600, timeout=60))
        await client.app.asyncio.sleep(0.5)
        opened.rpush(gate, "go")
        return await waiting

    assert client.run(until_announced()).return_value == gate


def test_tracked_progress_stays_readable(client, redis_url: str):
    gate = uuid.uuid4().hex
    sent = client.run(client.app.tracked.kiq(gate=gate))
    until = time.monotonic() + 20
    while not (running := client.store.load(sent.task_id)).artifacts and time.monotonic() < until:
        time.sleep(0.02)

    shown = client.run(sent.get_progress())
    assert (shown.state, shown.meta) == ("HALF", {"done": 1, "total": 2, "words": ["half"]})
    assert running.state == State.PROGRESS
    assert running.created_at < running.started_at
    assert (running.progress.done, running.progress.total) == (1, 2)  # for the gateway and the command line

    redis.Redis.from_url(redis_url).rpush(gate, "go")
    assert client.wait(sent).return_value == "whole"
    assert client.store.load(sent.task_id).created_at == running.created_at
    assert client.run(sent.get_progress()).meta == shown.meta


def test_store_progress_is_task_progress(client):
    sent = client.send("parts", "x")
    client.wait(sent)

    shown = client.run(sent.get_progress())
    assert shown.meta == {"done": 3, "total": 3, "note": "part 2"}


def test_artifacts_travel_as_arguments(client, worker):
    artifact, other = client.value("stream", 3), client.value("named")

    assert client.value("size_of", artifact) == 3 << 20
    assert client.value("sizes_of", {"all": [artifact, other]}) == [3 << 20, 15]
    assert client.value("ordered", client.app.Order(number=1, picture=other)) == client.app.Order(
        number=2, picture=other
    )
    assert "Can't parse argument" not in worker.log.read_text()


def test_artifacts_travel_in_resent_messages(client):
    artifact = client.value("named")

    assert client.value("requeued", artifact) == "report.pdf"
    tried = client.send("retried_stream", artifact)
    assert client.read(client.wait(tried).raise_for_error().return_value) == b"attempt 1 of report.pdf"
    assert client.store.load(tried.task_id).retries == 1


def test_dependency_is_open_while_a_stream_reads_it(client):
    assert client.read(client.value("reads_a_dependency")) == b"open"


def test_task_called_as_a_function_is_not_captured(client):
    assert client.value("calls_others") == ["generator", "Output", "async_generator"]
