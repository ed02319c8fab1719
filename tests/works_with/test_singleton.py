"""celery-singleton: a task of which one copy is queued; its lock is released by `on_success` and `on_failure`."""

import time

import celery_singleton.backends
import pytest
import redis
from celery import Celery, Task
from celery_singleton import Singleton
from celery_singleton.config import Config

from tests.works_with.conftest import LARGE, WAIT_S


@pytest.fixture(scope="module")
def charge(app: Celery, redis_url: str) -> Task:
    app.conf.singleton_backend_url = redis_url

    @app.task(base=Singleton, name="charge")
    def charge(text: str, *, fails: bool = False) -> str:
        if fails:
            raise ValueError(text[:10])
        return text

    return charge


@pytest.fixture
def locks(redis_url: str, app: Celery):
    app.conf.singleton_key_prefix = f"lock-{app.main}"
    with redis.Redis.from_url(redis_url) as client:
        yield lambda: client.keys(f"lock-{app.main}*")


def until_released(locks) -> None:
    """The hooks that release a lock run after the outcome is stored."""
    until = time.monotonic() + WAIT_S
    while locks():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("size", [5, LARGE])
def test_second_call_gets_the_queued_task(charge: Task, locks, at_work, size: int):
    first, second = charge.delay("c" * size), charge.delay("c" * size)
    assert first.id == second.id
    assert len(locks()) == 1

    at_work()

    assert second.get(timeout=WAIT_S) == "c" * size
    until_released(locks)
    third = charge.delay("c" * size)
    assert third.id != first.id
    assert third.get(timeout=WAIT_S) == "c" * size
    until_released(locks)


def test_lock_of_a_failed_task_is_released(charge: Task, locks, at_work):
    at_work()

    failed = charge.delay("f" * LARGE, fails=True)

    assert isinstance(failed.get(timeout=WAIT_S, propagate=False), ValueError)
    until_released(locks)


def test_without_its_setting_it_takes_the_broker(app: Celery, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(celery_singleton.backends, "_backend", None)
    app.conf.singleton_backend_url = None

    assert Config(app).backend_url == app.conf.broker_url
    with pytest.raises(ValueError, match="Redis URL must specify"):  # and so fails over RabbitMQ, too
        celery_singleton.backends.get_backend(Config(app))
