"""Waiters: threads that wait for a Celery result, and how late they were (P6)."""

import threading
import time

import pytest
import redis
from celery import Celery
from celery.result import AsyncResult

from resultstore.backends.celery.wait import consumer, coroutine_notifier
from resultstore.index.redis.subscription import RedisSubscription
from resultstore.model import layout
from resultstore.model.event import Event
from resultstore.store import waiting

WOKEN_S = 30.0  # a woken waiter is there by then on any machine; nothing else wakes one that gets announcements only
LOST_S = 3.0


class Waiter(threading.Thread):
    """Waits for an id, and knows when it woke with what."""

    def __init__(self, app: Celery, task_id: str, *, timeout_s: float = 20) -> None:
        super().__init__(daemon=True)
        self.woke_at = 0.0
        self.got: object = None
        self.task_id = task_id
        self._app = app
        self._result = app.AsyncResult(task_id)
        self._timeout_s = timeout_s
        self.start()

    def run(self) -> None:
        try:
            self.got = self._result.get(timeout=self._timeout_s)
        except Exception as error:  # noqa: BLE001 - it is what was got
            self.got = error
        self.woke_at = time.time()

    def within(self, seconds: float) -> object:
        self.join(seconds)
        assert not self.is_alive(), f"still asleep after {seconds} s"
        return self.got

    def late_s(self) -> float:
        """How long after the end of its result it woke."""
        return self.woke_at - self._app.backend.store.peek(self.task_id).ended_at


def send(app: Celery, task_id: str, **options: object) -> AsyncResult:
    """Send a task that no worker takes. While its result object lives, its id is subscribed to."""
    return app.send_task("not.taken", task_id=task_id, queue="unused", **options)


def listening(raw: redis.Redis, task_id: str, *, within_s: float = 5) -> None:
    """Return once a process has subscribed to the id."""
    end = time.monotonic() + within_s
    while not raw.pubsub_numsub(layout.channel(task_id))[0][1]:
        assert time.monotonic() < end
        time.sleep(0.005)


def silent(raw: redis.Redis) -> None:
    """No channel is left."""
    end = time.monotonic() + 5
    while raw.pubsub_channels():
        assert time.monotonic() < end, raw.pubsub_channels()
        time.sleep(0.01)


def hear_announcements_only(patch: pytest.MonkeyPatch) -> None:
    """Let no waiter of this process check by itself, so that only announcements wake it."""
    for place in (consumer, coroutine_notifier, waiting):
        patch.setattr(place, "RECHECK_S", 3_600.0)
    patch.setattr(consumer, "_FIRST_CHECK_S", 3_600.0)
    patch.setattr(consumer, "_SENT_CHECK_S", 3_600.0)


def deafen(patch: pytest.MonkeyPatch) -> list[Event]:
    """Let every announcement be lost on its way to this process; the list is of those that were."""
    lost: list[Event] = []
    take = RedisSubscription._take

    def lose(self: RedisSubscription, connection: object) -> list[Event]:
        events = take(self, connection)
        lost.extend(event for event in events if event.state)
        return [event for event in events if not event.state]

    patch.setattr(RedisSubscription, "_take", lose)
    return lost
