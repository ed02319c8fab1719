"""The fixture `resultstore`: the same on every machine, with URLs."""

import json

import pytest
from celery import Celery

from resultstore import NotYours, Output
from resultstore.backends.celery import setup, store_of


@pytest.fixture(autouse=True)
def developers_environment(monkeypatch):
    monkeypatch.setenv("RESULTSTORE_SECRET_KEY", "a developer's own key")
    monkeypatch.setenv("RESULTSTORE_SYSTEM_TASKS", "*")
    monkeypatch.setenv("RESULTSTORE_INLINE_MAX_BYTES", "1")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "resultstore+redis://redis.example/0")
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://broker.example//")
    monkeypatch.setenv("RESULTSTORE_BLOBS_URL", "s3://production/root")


@pytest.fixture
def app():
    app = Celery(
        "shop", broker="amqp://broker.example//", backend="resultstore+redis://redis.example/0", set_as_current=False
    )
    app.conf.result_backend_transport_options = {"blobs": "s3://production/root", "legacy_redis": True}
    app.conf.resultstore_retention = "365d"
    setup(app)

    @app.task(name="jobs.write", shared=False)
    def write(text: str) -> Output:
        return Output(data=[text.encode()], name="text.txt")

    @app.task(name="jobs.read_anns", shared=False)
    def read_anns() -> str:
        store = store_of(app)
        return store.open(store.artifact("anns", "a.txt"), on_behalf_of="ann").read().decode()

    return app


def settings_of(store):
    groups = (store.settings.security, store.settings.results, store.settings.gateway, store.settings.index)
    return json.dumps([{k: str(v) for k, v in vars(one).items()} for one in groups])


def test_environment_changes_no_setting(resultstore, app, monkeypatch):
    def found():
        with resultstore.eager(app) as eager:
            return [settings_of(eager), settings_of(resultstore.store())]

    with_variables = found()
    for name in ("SECRET_KEY", "SYSTEM_TASKS", "INLINE_MAX_BYTES", "BLOBS_URL"):
        monkeypatch.delenv(f"RESULTSTORE_{name}")

    assert found() == with_variables


def test_app_keeps_its_settings_but_no_server(resultstore, app):
    with resultstore.eager(app) as store:
        assert store.settings.index.url == "memory://"
        assert store.settings.blobs.url.startswith("file://")
        made = app.tasks["jobs.write"].delay("hello").get()
        assert made.retention == "365d"
        assert store.open(made).read() == b"hello"

    assert app.conf.result_backend_transport_options["blobs"] == "s3://production/root"


def test_urls_and_shares_work(resultstore, app):
    with resultstore.eager(app) as store:
        made = app.tasks["jobs.write"].delay("hello").get()
        assert store.url(made).startswith("http://blobs.test/")
        assert store.shares.token(store.shares.create(made))
    with resultstore.worker(app) as store:
        made = app.tasks["jobs.write"].delay("hello").get(timeout=10)
        assert store.url(made).startswith("http://blobs.test/")
    plain = resultstore.store()
    assert plain.url(plain.put(b"hello", name="a.txt")).startswith("http://blobs.test/")


def test_system_tasks_are_named_by_the_test(resultstore, app):
    with resultstore.eager(app) as store:
        store.put(b"private", name="a.txt", id="anns", owner="ann")
        with pytest.raises(NotYours):
            app.tasks["jobs.read_anns"].delay().get()
    with resultstore.eager(app, system_tasks="jobs.read_*") as store:
        store.put(b"private", name="a.txt", id="anns", owner="ann")
        assert app.tasks["jobs.read_anns"].delay().get() == "private"


def test_stores_share_nothing(resultstore):
    first, second = resultstore.store(), resultstore.store()
    first.put(b"1", name="a.txt", id="one")

    assert second.load("one") is None
    assert list(second.blobs.list("")) == []


def test_unknown_setting_is_refused(resultstore):
    with pytest.raises(TypeError, match="secret"):
        resultstore.store(secret="k" * 32)
