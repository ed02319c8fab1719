"""Legacy: old workers and old clients, with Celery's own Redis backend, beside new ones."""

import threading
import uuid

import pytest
import redis
from celery import Celery, states
from celery.app.task import Context
from celery.app.trace import build_tracer
from celery.exceptions import TimeoutError as CeleryTimeoutError

from resultstore.backends.celery import setup
from resultstore.model.errors import Misconfigured
from tests.backends.celery.conftest import Made
from tests.backends.celery.waiters import WOKEN_S, hear_announcements_only
from tests.index.redis.conftest import PrivateRedis

PREFIXES = ["", "tenant"]


@pytest.fixture(params=PREFIXES)
def options(request: pytest.FixtureRequest) -> dict[str, object]:
    return {"global_keyprefix": request.param} if request.param else {}


@pytest.fixture
def old(server: PrivateRedis, raw: redis.Redis, options: dict[str, object]) -> Celery:
    """An app with Celery's own backend."""
    app = Celery("old", broker="memory://", backend=server.url, set_as_current=False)
    app.conf.update(result_backend_transport_options=options, result_extended=True)
    return app


@pytest.fixture
def new(made: Made, options: dict[str, object]) -> Celery:
    return made(result_backend_transport_options={**options, "legacy_redis": True, "publish_legacy": True})


def test_what_an_old_worker_stored_is_read(old: Celery, new: Celery, task_id: str):
    request = Context(id=task_id, task="shop.price", args=(1,), hostname="old@here", retries=2, parent_id="root")
    old.backend.mark_as_done(task_id, {"price": 3}, request=request)
    result = new.AsyncResult(task_id)
    assert (result.state, result.get(timeout=5)) == (states.SUCCESS, {"price": 3})
    assert (result.name, result.worker, result.retries, result.args) == ("shop.price", "old@here", 2, [1])
    assert result.date_done == old.AsyncResult(task_id).date_done
    assert [meta["result"] for _, meta in new.backend.get_many([task_id])] == [{"price": 3}]


def test_an_old_workers_error_comes_back(old: Celery, new: Celery, task_id: str):
    old.backend.mark_as_failure(task_id, ValueError("no stock"), traceback="Traceback: there")
    with pytest.raises(ValueError, match="no stock"):
        new.AsyncResult(task_id).get(timeout=5)
    assert new.AsyncResult(task_id).traceback == "Traceback: there"


def test_old_worker_wakes_a_waiter(old: Celery, new: Celery, monkeypatch: pytest.MonkeyPatch):
    hear_announcements_only(monkeypatch)
    for _ in range(5):
        task_id = uuid.uuid4().hex
        worker = threading.Timer(0.3, old.backend.mark_as_done, (task_id, "done"))
        worker.start()
        assert new.AsyncResult(task_id).get(timeout=WOKEN_S) == "done"


def test_without_the_setting_nothing_of_theirs_is_read(
    old: Celery, made: Made, options: dict[str, object], task_id: str
):
    plain = made(result_backend_transport_options=options)
    old.backend.mark_as_done(task_id, 1)
    assert plain.AsyncResult(task_id).state == states.PENDING
    with pytest.raises(CeleryTimeoutError):
        plain.AsyncResult(task_id).get(timeout=0.2)


def test_old_client_gets_what_a_new_worker_stores(old: Celery, new: Celery, task_id: str):
    new.backend.mark_as_started(task_id, hostname="new@here")
    assert old.AsyncResult(task_id).state == states.STARTED
    worker = threading.Timer(0.2, new.backend.mark_as_done, (task_id, [1, "x"]))
    worker.start()
    assert old.AsyncResult(task_id).get(timeout=5) == [1, "x"]


def test_old_client_gets_an_error(old: Celery, new: Celery, task_id: str):
    new.backend.mark_as_failure(task_id, KeyError("gone"))
    with pytest.raises(KeyError, match="gone"):
        old.AsyncResult(task_id).get(timeout=5)


def test_success_is_not_overwritten_for_old_readers(old: Celery, new: Celery, task_id: str):
    new.backend.mark_as_done(task_id, "first")
    new.backend.mark_as_failure(task_id, ValueError("a late copy"))
    assert old.AsyncResult(task_id).get(timeout=5) == "first"


def test_both_records_live_as_long(made: Made, raw: redis.Redis, task_id: str):
    client = made(result_expires=600, resultstore_publish_legacy=True)
    client.backend.mark_as_done(task_id, 1)
    assert 500 < raw.ttl(f"celery-task-meta-{task_id}") <= 600


def test_both_are_forgotten(old: Celery, new: Celery, task_id: str):
    new.backend.mark_as_done(task_id, 1)
    new.AsyncResult(task_id).forget()
    assert (new.AsyncResult(task_id).state, old.AsyncResult(task_id).state) == (states.PENDING, states.PENDING)


def test_settings_without_redis_are_refused():
    app = Celery("client", broker="memory://", backend="resultstore+memory://", set_as_current=False)
    app.conf.update(resultstore_legacy_redis=True)
    with pytest.raises(Misconfigured, match="legacy_redis"):
        app.backend  # noqa: B018 - made at first use


def test_large_value_is_published_without_reading_it_back(
    made: Made, old: Celery, options: dict[str, object], task_id: str
):
    # given: a task that returns a value which is sealed, and a store that counts what is read of its blobs
    client = made("?blobs=memory://", result_backend_transport_options={**options, "publish_legacy": True})
    setup(client)
    read: list[str] = []
    get = client.backend.store.blobs.get
    client.backend.store.blobs.get = lambda key, **options: read.append(key) or get(key, **options)

    @client.task
    def large() -> list[str]:
        return ["v" * 100_000]

    # when
    build_tracer(large.name, large, app=client)(task_id, (), {}, request={"id": task_id, "task": large.name})

    # then
    assert [key for key in read if key.startswith("blobs/")] == []
    assert old.AsyncResult(task_id).get(timeout=5) == ["v" * 100_000]
    assert client.AsyncResult(task_id).get(timeout=5) == ["v" * 100_000]
