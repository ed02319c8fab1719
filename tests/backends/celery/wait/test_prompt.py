"""PromptConsumer: outcomes reach their waiters without pauses, except for greenlets."""

import subprocess
import sys
import threading
import time

import pytest
import redis
from celery import Celery, states
from celery.result import AsyncResult

from tests.backends.celery.waiters import listening

GREENLETS = {
    "gevent": ("from gevent import monkey; monkey.patch_all()", "gevent"),
    "eventlet": ("import eventlet; eventlet.monkey_patch()", "eventlet"),
}
PROGRAM = """
{first}
import {library}
from celery import Celery

app = Celery(backend="resultstore+" + {url!r}, set_as_current=False)
consumer = app.backend.result_consumer
turns = []
{library}.spawn(turns.append, "another")
consumer.on_state_change({{"task_id": {task_id!r}, "status": "STARTED"}}, None)
assert turns == ["another"], turns
"""


def test_early_outcome_is_buffered_for_its_waiter(client: Celery, task_id: str):
    client.backend.result_consumer.on_state_change(
        {"task_id": task_id, "status": states.SUCCESS, "result": 5, "children": []}, None
    )
    assert client.backend.add_pending_result(AsyncResult(task_id, app=client)).get(timeout=0.01) == 5


def test_all_waiters_of_an_id_are_notified(client: Celery, task_id: str):
    results = [client.backend.add_pending_result(AsyncResult(task_id, app=client)) for _ in range(3)]
    client.backend.result_consumer.on_state_change(
        {"task_id": task_id, "status": states.SUCCESS, "result": 5, "children": []}, None
    )
    assert [one._cache["result"] for one in results] == [5] * 3


def test_callback_gets_its_own_wait_alone(client: Celery, raw: redis.Redis, task_id: str):
    heard: list[str] = []
    waiter = threading.Thread(
        target=lambda: client.AsyncResult(task_id).get(timeout=5, on_message=lambda meta: heard.append(meta["status"]))
    )
    waiter.start()
    listening(raw, task_id)
    client.backend.store_result(task_id, 5, states.SUCCESS)
    waiter.join(5)
    assert (heard[-1:], client.backend.result_consumer.on_message) == ([states.SUCCESS], None)


def test_a_thread_goes_on_without_a_pause(client: Celery, task_id: str, monkeypatch: pytest.MonkeyPatch):
    pauses: list[float] = []
    monkeypatch.setattr("resultstore.backends.celery.wait.prompt.sleep", pauses.append)
    monkeypatch.setattr("celery.backends.asynchronous.sleep", pauses.append)
    client.backend.store_result(task_id, 5, states.SUCCESS)
    assert client.AsyncResult(task_id).get(timeout=5) == 5

    other = task_id[::-1]
    threading.Timer(0.1, lambda: client.backend.store_result(other, 6, states.SUCCESS)).start()
    began = time.monotonic()
    assert (client.AsyncResult(other).get(timeout=5), pauses) == (6, [])
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("way", GREENLETS)
def test_a_greenlet_gives_others_their_turn(client: Celery, task_id: str, way: str):
    first, library = GREENLETS[way]
    program = PROGRAM.format(first=first, library=library, url=client.backend.url, task_id=task_id)
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
