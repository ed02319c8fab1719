"""Attempts: one id has one outcome, however often and with whatever end a real worker runs it."""

import os
import signal
import time
import uuid

import pytest
import redis

from resultstore import State
from tests.backends.taskiq.conftest import connected, working


@pytest.fixture
def own(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a queue for one test."""
    return {**environment, "RS_TEST_QUEUE": f"queue-{uuid.uuid4().hex}"}


def test_second_run_returns_the_sealed_value(client, worker, redis_url: str):
    task_id = uuid.uuid4().hex
    server = redis.Redis.from_url(redis_url)

    first = client.wait(client.send("different_each_time", id=task_id)).return_value
    client.send("different_each_time", id=task_id)  # a redelivery
    until = time.monotonic() + 20
    while server.llen(f"saw-{task_id}") < 2 and time.monotonic() < until:
        time.sleep(0.02)

    assert server.lrange(f"saw-{task_id}", 0, -1) == [repr(first).encode()] * 2
    assert min(client.objects(task_id)) == first.key
    assert len(client.objects(task_id)) == 2  # one blob, one seal
    assert client.read(first)


def test_retried_task_leaves_no_parts(client, worker, redis_url: str):
    gate = uuid.uuid4().hex
    sent = client.run(client.app.fails_first.kiq(gate=gate))
    until = time.monotonic() + 20
    while client.store.load(sent.task_id).state != State.RETRY and time.monotonic() < until:
        time.sleep(0.02)

    assert client.store.load(sent.task_id).state == State.RETRY
    assert client.store.load(sent.task_id).artifacts == ()
    assert client.objects(sent.task_id) == []
    assert not client.run(sent.is_ready())
    redis.Redis.from_url(redis_url).rpush(gate, "go")
    assert client.wait(sent).return_value == gate


def test_timeout_ends_an_upload_and_leaves_nothing(client, worker):
    sent = client.send("never_ends")
    result = client.wait(sent)

    with pytest.raises(TimeoutError):
        result.raise_for_error()
    assert result.execution_time < 5
    assert client.store.load(sent.task_id).state == State.FAILURE
    assert client.objects(sent.task_id) == []
    assert client.value("add", 1, 1) == 2  # the worker still works


def test_next_worker_finishes_a_killed_workers_task(own: dict[str, str], redis_url: str):
    with connected(own) as client:
        # given: a worker in the middle of a task that has stored a part
        gate = uuid.uuid4().hex
        with working(own) as victim:
            sent = client.run(client.app.tracked.kiq(gate=gate))
            until = time.monotonic() + 30
            while not (found := client.store.load(sent.task_id)).artifacts and time.monotonic() < until:
                time.sleep(0.02)
            assert found.state == State.PROGRESS

            # when
            os.killpg(victim.pid, signal.SIGKILL)
            victim.wait(10)
        assert not client.run(sent.is_ready())

        # then
        redis.Redis.from_url(redis_url).rpush(gate, "go", "go")  # the dead one may have taken the first
        with working(own):
            assert client.wait(sent).return_value == "whole"
        (part,) = client.store.load(sent.task_id).artifacts
        assert client.read(part) == b"part"


def test_process_pool_is_captured(own: dict[str, str]):
    with connected(own) as client, working(own, "--use-process-pool", "--max-process-pool-processes", "1"):
        # The pool's process is forked during the first task, and inherits its state.
        puts = client.value("parts_in_a_thread", "a") + client.value("parts_in_a_thread", "a")
        sent = client.send("named_in_a_thread")
        artifact = client.wait(sent).raise_for_error().return_value

        assert len({one.id for one in puts}) == 6
        assert all(client.store.load(one.id).sealed for one in puts)
        assert client.read(artifact) == b"from a thread"
        assert artifact.id == sent.task_id
        assert client.value("add_in_a_thread", 1, 2) == 3
