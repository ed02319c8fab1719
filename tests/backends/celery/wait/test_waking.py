"""Waking: a real worker over RabbitMQ wakes a waiter, also if the request names no reply channel."""

import uuid
from collections.abc import Callable

import pytest
from celery import Celery, chord, group
from celery.exceptions import ChordError, TaskRevokedError

from tests.backends.celery.waiters import LOST_S, WOKEN_S, Waiter, deafen, hear_announcements_only

pytestmark = pytest.mark.usefixtures("worker")

WAITERS = 12


def replaced(app: Celery) -> Waiter:
    return Waiter(app, app.tasks["worker_app.replaced"].delay(2, 3).id)


def chord_whose_header_fails(app: Celery) -> Waiter:
    header = group(app.tasks["worker_app.add"].s(1, 1), app.tasks["worker_app.fails"].s("header"))
    return Waiter(app, chord(header)(app.tasks["worker_app.total"].s()).id)


def revoked(app: Celery) -> Waiter:
    result = app.tasks["worker_app.add"].apply_async((1, 1), countdown=1)
    result.revoke()
    return Waiter(app, result.id)


def told_by_another_task(app: Celery) -> Waiter:
    waiter = Waiter(app, uuid.uuid4().hex)
    app.tasks["worker_app.update_other"].delay(waiter.task_id).forget()
    return waiter


WAYS = pytest.mark.parametrize(
    ("send", "outcome"),
    [
        (replaced, 5),
        (chord_whose_header_fails, ChordError),
        (revoked, TaskRevokedError),
        (told_by_another_task, "by another"),
    ],
)
Send = Callable[[Celery], Waiter]


def is_outcome(got: object, outcome: object) -> bool:
    return isinstance(got, outcome) if isinstance(outcome, type) else got == outcome


@WAYS
def test_an_announcement_alone_wakes_a_waiter(
    app: Celery, send: Send, outcome: object, monkeypatch: pytest.MonkeyPatch
):
    hear_announcements_only(monkeypatch)
    for _ in range(WAITERS):
        assert is_outcome(send(app).within(WOKEN_S), outcome)


@WAYS
def test_waiter_wakes_although_every_announcement_is_lost(
    app: Celery, send: Send, outcome: object, monkeypatch: pytest.MonkeyPatch
):
    lost = deafen(monkeypatch)
    for _ in range(5):  # on a slow machine, all of them may have ended before their waiters' first look
        waiters = [send(app) for _ in range(4)]
        assert all(is_outcome(waiter.within(20), outcome) for waiter in waiters)
        assert max(waiter.late_s() for waiter in waiters) <= LOST_S
        if lost:
            break
    assert lost
