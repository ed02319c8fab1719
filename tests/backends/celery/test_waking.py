"""Waking: a real worker over RabbitMQ wakes a waiter, also where the request tells it of nobody."""

import time
import uuid

import pytest
from celery import Celery, chord, group
from celery.exceptions import ChordError, TaskRevokedError

pytestmark = pytest.mark.usefixtures("worker")


def test_a_task_that_is_replaced_wakes_its_waiter(app: Celery):
    assert app.tasks["worker_app.replaced"].delay(2, 3).get(timeout=20) == 5


def test_a_chord_whose_header_fails_wakes_its_waiter(app: Celery):
    tasks = app.tasks
    header = group(tasks["worker_app.add"].s(1, 1), tasks["worker_app.fails"].s("header"))
    result = chord(header)(tasks["worker_app.total"].s())
    with pytest.raises(ChordError, match="header"):
        app.AsyncResult(result.id).get(timeout=20)


def test_a_revoked_task_wakes_its_waiter(app: Celery):
    result = app.tasks["worker_app.add"].apply_async((1, 1), countdown=30)
    time.sleep(0.5)  # until the worker holds it
    result.revoke()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=40)


def test_a_state_that_a_task_writes_for_another_id_wakes_its_waiter(app: Celery):
    other = uuid.uuid4().hex
    app.tasks["worker_app.update_other"].delay(other).forget()
    assert app.AsyncResult(other).get(timeout=20) == "by another"
