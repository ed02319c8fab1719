"""redbeat: a schedule of periodic tasks in Redis; what it sends ends in our backend."""

from collections.abc import Iterator

import pytest
import redis
from celery import Celery, Task
from celery.schedules import schedule
from redbeat import RedBeatScheduler, RedBeatSchedulerEntry

from resultstore.backends.celery import store_of
from tests.works_with.conftest import LARGE, WAIT_S


@pytest.fixture(scope="module")
def nightly(app: Celery, redis_url: str) -> Iterator[Task]:
    prefix = f"redbeat-{app.main}:"
    app.conf.update(redbeat_redis_url=redis_url, redbeat_key_prefix=prefix, redbeat_lock_key=None)

    @app.task(name="nightly")
    def nightly(text: str) -> int:
        return len(text)

    yield nightly
    with redis.Redis.from_url(redis_url) as client:
        client.delete(*client.keys(prefix + "*"))


def test_scheduled_task_ends_in_our_backend(nightly: Task, app: Celery, at_work):
    entry = RedBeatSchedulerEntry("night", nightly.name, schedule(0.01), args=["n" * LARGE], app=app)
    entry.save()
    scheduler = RedBeatScheduler(app=app, lock_key=None)
    at_work()

    sent = scheduler.apply_async(scheduler.schedule["night"], advance=False)

    assert sent.get(timeout=WAIT_S) == LARGE
    assert store_of(app).peek(sent.id).task == "nightly"
    assert scheduler.tick() <= scheduler.max_interval
