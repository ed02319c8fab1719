"""Flower: a real one shows our results, small, large and failed."""

import os
import subprocess
import sys
import tempfile
import time

import httpx
import pytest

from resultstore.ops.embedded import free_port

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def flower(environment, app, worker):
    """Flower's HTTP API; it receives the worker's events."""
    app.control.enable_events()
    port = free_port()
    command = [sys.executable, "-m", "celery", "-A", "worker_app", "flower", f"--port={port}", "--address=127.0.0.1"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            cwd=__file__.rpartition("/")[0],
            env={**os.environ, **environment, "FLOWER_UNAUTHENTICATED_API": "true"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=10) as client:
                until_it_answers(client, process)
                yield client
        finally:
            process.terminate()
            process.wait(20)
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-4_000:])


def until_it_answers(client, process):
    until = time.monotonic() + 40
    while time.monotonic() < until:
        assert process.poll() is None
        try:
            if client.get("/workers").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("Flower does not answer")


def shown(client, path, *, until):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = client.get(path)
        if answer.is_success and until(answer.json()):
            return answer.json()
        time.sleep(0.1)
    raise AssertionError(answer.text)


def test_flower_shows_a_small_result(flower, app):
    sent = app.send_task("worker_app.add", (2, 3))
    sent.get(timeout=20)

    assert flower.get(f"/task/result/{sent.id}").json() == {"task-id": sent.id, "state": "SUCCESS", "result": 5}


def test_flower_shows_a_sealed_result(flower, app):
    sent = app.send_task("worker_app.large_value", (100_000,))
    value = sent.get(timeout=20)

    seen = flower.get(f"/task/result/{sent.id}").json()

    assert (seen["state"], seen["result"]) == ("SUCCESS", value)
    assert len(value) == 100_000


def test_flower_waits_for_a_task_that_it_sends(flower):
    answer = flower.post("/task/apply/worker_app.add", json={"args": [20, 22]})

    assert (answer.json()["state"], answer.json()["result"]) == ("SUCCESS", 42)


def test_flower_lists_tasks_and_their_outcomes(flower, app):
    sent = app.send_task("worker_app.add", (1, "x"))
    with pytest.raises(TypeError):
        sent.get(timeout=20)

    seen = shown(flower, f"/task/info/{sent.id}", until=lambda task: task["state"] == "FAILURE")

    assert seen["name"] == "worker_app.add"
    assert flower.get(f"/task/result/{sent.id}").json()["state"] == "FAILURE"
