"""What only Dramatiq has, on a real worker: pipelines, groups, callbacks, its time to live and its errors."""

import os
import signal
import tempfile
import time
import uuid
from collections.abc import Callable
from types import ModuleType

import dramatiq
import pytest
import redis
from dramatiq.results import ResultFailure, ResultMissing, ResultTimeout

from resultstore import Artifact, State, Store
from resultstore.model.headers import OWNER_HEADER
from tests.backends.dramatiq.conftest import start_worker

pytestmark = pytest.mark.usefixtures("worker")


def result_of(message, *, timeout_s: float = 30) -> object:
    return message.get_result(block=True, timeout=int(timeout_s * 1000))


def read(store: Store, artifact: Artifact) -> bytes:
    with store.open(artifact) as content:
        return content.read()


def eventually(found: Callable[[], object], *, limit_s: float = 20) -> object:
    until = time.monotonic() + limit_s
    while not (got := found()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return got


def keys_of(store: Store, message_id: str) -> list[str]:
    return [one.key for kind in ("blobs/", "seals/") for one in store.blobs.list(kind) if message_id in one.key]


def test_async_actor_is_captured(jobs: ModuleType, store: Store):
    assert read(store, result_of(jobs.asynchronous.send())) == b"from a coroutine"


def test_record_knows_when_its_message_was_run(jobs: ModuleType, store: Store):
    message = jobs.add.send(1, 1)
    result_of(message)

    found = store.load(message.message_id)
    assert found.created_at <= found.started_at <= found.ended_at


@pytest.mark.parametrize("size_bytes", [10, 60_000])
def test_value_type_is_independent_of_size(jobs: ModuleType, size_bytes: int):
    message = jobs.large_value.send(size_bytes)

    assert result_of(message) == {"text": "v" * size_bytes, "pair": [1, 2]}
    assert message.get_result() == {"text": "v" * size_bytes, "pair": [1, 2]}


def test_record_expires_after_its_result_ttl(jobs: ModuleType, redis_url: str):
    message = jobs.add.send_with_options(args=(1, 1), result_ttl=90_000)
    result_of(message)

    ttl_s = redis.Redis.from_url(redis_url).ttl(f"rs:{{{message.message_id}}}")
    assert 80 < ttl_s <= 90


def test_pipeline_passes_the_artifact_on(jobs: ModuleType):
    pipe = (jobs.stream.message(3) | jobs.size_of.message()).run()

    assert pipe.get_result(block=True, timeout=30_000) == 3 << 20


def test_pipeline_keeps_the_owner(jobs: ModuleType, store: Store):
    pipe = jobs.add.message(1, 2) | jobs.add.message(3)
    pipe.messages[0].options[OWNER_HEADER] = "ann"

    pipe.run()

    assert pipe.get_result(block=True, timeout=30_000) == 6
    assert store.load(pipe.messages[1].message_id).owner == "ann"


def test_group_of_pipelines_has_results_and_calls_back(jobs: ModuleType, redis_url: str):
    # given
    key, artifact = f"size-{uuid.uuid4()}", result_of(jobs.stream.send(1))
    group = dramatiq.group([jobs.stream.message(n) | jobs.size_of.message() for n in (1, 2)])
    group.add_completion_callback(jobs.keep_size.message(key, artifact))

    # when
    group.run()

    # then
    assert list(group.get_results(block=True, timeout=30_000)) == [1 << 20, 2 << 20]
    assert eventually(lambda: redis.Redis.from_url(redis_url).get(key)) == b"%d" % (1 << 20)


def test_callback_gets_the_artifact(jobs: ModuleType, redis_url: str):
    message = jobs.with_a_callback.send()

    assert eventually(lambda: redis.Redis.from_url(redis_url).get(f"succeeded-{message.message_id}")) == b"11"


def test_failure_names_the_class_of_the_error(jobs: ModuleType):
    with pytest.raises(ResultFailure, match=r"actor raised BadInput: image cat\.jpg") as raised:
        result_of(jobs.failing_stream.send())

    assert raised.value.orig_exc_type == "BadInput"


def test_failed_generator_is_shown_as_retried(jobs: ModuleType, store: Store):
    message = jobs.retried_stream.send()

    eventually(lambda: (found := store.peek(message.message_id)) and found.state == State.RETRY)
    assert "OSError: once" in store.load(message.message_id).traceback
    assert read(store, result_of(message)) == b"attempt 1"
    assert store.peek(message.message_id).retries == 1


def test_redelivered_message_passes_its_first_value_on(jobs: ModuleType):
    message, echo = jobs.different_value.message(20_000), jobs.add.message("")
    first = result_of(jobs.broker.enqueue(message))

    again = (message | echo).run()

    assert again.get_result(block=True, timeout=30_000) == first


def test_delayed_message_is_pending(jobs: ModuleType, store: Store):
    message = jobs.add.send_with_options(args=(1, 1), delay=60_000)

    found = store.index.peek(message.message_id)
    assert (found.state, found.task) == (State.PENDING, "add")


def test_actor_called_as_a_function_is_not_captured(jobs: ModuleType):
    assert result_of(jobs.calls_another.send()) == "generator"


def test_output_of_an_actor_without_results_is_found(jobs: ModuleType, store: Store):
    message = jobs.without_a_result.send()

    found = eventually(lambda: (now := store.load(message.message_id)) and now.terminal and now)
    assert read(store, found.artifact("output")) == b"kept all the same"


def test_unknown_message_has_no_result(jobs: ModuleType):
    unknown = jobs.add.message(1, 1)

    with pytest.raises(ResultMissing):
        unknown.get_result()
    with pytest.raises(ResultTimeout):
        unknown.get_result(block=True, timeout=300)


def test_deleted_result_is_missing(jobs: ModuleType, store: Store):
    for message in (jobs.named.send(), jobs.add.send(1, 1)):
        result_of(message)

        store.delete(message.message_id)

        with pytest.raises(ResultMissing):
            message.get_result()
        assert not [key for key in keys_of(store, message.message_id) if key.startswith("blobs/")]


def test_worker_killed_during_an_upload_leaves_nothing(jobs: ModuleType, store: Store, environment: dict[str, str]):
    # given: a worker on a queue of its own, streaming for long
    own = {**environment, "RS_TEST_QUEUE": f"queue-{uuid.uuid4().hex}"}
    jobs.broker.declare_queue(own["RS_TEST_QUEUE"])
    message = jobs.stream.message(400).copy(queue_name=own["RS_TEST_QUEUE"])
    with tempfile.TemporaryFile() as log:
        victim = start_worker(own, log)
        jobs.broker.enqueue(message)
        eventually(lambda: (found := store.peek(message.message_id)) and found.progress and found.progress.done > 8)

        assert store.load(message.message_id).created_at == message.message_timestamp / 1000

        # when
        os.killpg(victim.pid, signal.SIGKILL)
        victim.wait(10)

    # then
    assert keys_of(store, message.message_id) == []
    with pytest.raises(ResultMissing):
        message.get_result()
    with tempfile.TemporaryFile() as log:
        successor = start_worker(own, log)
        assert result_of(message, timeout_s=60).size_bytes == 400 << 20
        successor.terminate()
        successor.wait(30)
