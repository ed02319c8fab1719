"""Waiters: who waits for a result in these tests, and what Redis knows of it."""

import threading
import time

import redis
from celery import Celery

from resultstore.model import layout, record
from resultstore.model.result import Result, State


class Waiter(threading.Thread):
    """Waits for an id, and knows when it woke with what."""

    def __init__(self, app: Celery, task_id: str, *, timeout_s: float = 20) -> None:
        super().__init__(daemon=True)
        self.woke_at = 0.0
        self.got: object = None
        self._result = app.AsyncResult(task_id)
        self._timeout_s = timeout_s
        self.start()

    def run(self) -> None:
        try:
            self.got = self._result.get(timeout=self._timeout_s)
        except Exception as error:  # noqa: BLE001 - it is what was got
            self.got = error
        self.woke_at = time.monotonic()

    def within(self, seconds: float) -> object:
        self.join(seconds)
        assert not self.is_alive(), f"still asleep after {seconds} s"
        return self.got


def listening(raw: redis.Redis, task_id: str) -> None:
    end = time.monotonic() + 5
    while not raw.pubsub_numsub(layout.channel(task_id))[0][1]:
        assert time.monotonic() < end
        time.sleep(0.005)


def silent(raw: redis.Redis) -> None:
    """No channel is left."""
    end = time.monotonic() + 5
    while raw.pubsub_channels():
        assert time.monotonic() < end, raw.pubsub_channels()
        time.sleep(0.01)


def without_announcement(raw: redis.Redis, app: Celery, task_id: str, value: object) -> None:
    main, _ = record.encode(Result(id=task_id, state=State.SUCCESS, value=app.backend.encoded(value)))
    raw.set(layout.record_key(task_id), main)
