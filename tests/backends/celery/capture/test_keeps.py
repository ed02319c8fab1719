"""What a task's @keeps says, and what setup's delivery sets."""

import sys
import types
from collections.abc import Iterator

import pytest
from celery import Celery, Task
from celery.app.trace import build_tracer

from resultstore import BadReference, Output, Store, TooLarge
from resultstore.backends.celery import keeps, setup, store_of

MIB = 1 << 20


@pytest.fixture
def app() -> Celery:
    made = Celery("keeps", broker="memory://", backend="resultstore+memory://?blobs=memory://", set_as_current=False)
    setup(made)
    return made


@pytest.fixture
def store(app: Celery) -> Store:
    return store_of(app)


def trace(app: Celery, task: Task, *args: object) -> object:
    return build_tracer(task.name, task, app=app)("job", args, {}, {"id": "job"}).retval


def test_output_overrides_its_tasks_policy(app: Celery, store: Store):
    @app.task
    @keeps(retention="7d", compress=True)
    def report() -> list[Output]:
        return [Output(data=b"a" * MIB, name="a"), Output(data=b"b", name="b", retention="1d")]

    first, second = trace(app, report)

    assert (first.retention, first.encoding) == ("7d", "zstd")
    assert first.stored_bytes < first.size_bytes
    assert (second.retention, second.encoding) == ("1d", "zstd")


@pytest.mark.parametrize("compress", [None, False])
def test_large_value_is_compressed_by_default(app: Celery, store: Store, compress: bool | None):
    @app.task(bind=True, autoretry_for=(OSError,))
    @keeps(retention="365d", compress=compress)
    def large(self: Task) -> str:
        return "v" * 100_000

    spill = trace(app, large)

    assert spill.key.startswith("blobs/365d/")
    assert (spill.encoding, spill.stored_bytes > 99_000) == (("", True) if compress is False else ("zstd", False))
    assert app.AsyncResult("job").get() == "v" * 100_000


@pytest.mark.parametrize("hinted", [True, False])
def test_task_over_its_byte_limit_stores_nothing(app: Celery, store: Store, hinted: bool):
    sent = []

    @app.task
    @keeps(max_bytes=3 * MIB)
    def greedy() -> Iterator[object]:
        def chunks() -> Iterator[bytes]:
            for number in range(100):
                sent.append(number)
                yield b"c" * MIB

        return [Output(data=b"first", name="first"), Output(data=b"x" * 4 * MIB, name="x") if hinted else chunks()]

    trace(app, greedy)

    with pytest.raises(TooLarge, match="job"):
        app.AsyncResult("job").get()
    assert len(sent) <= 5, "it is stopped while it streams"
    assert list(store.blobs.list("")) == []


def test_a_large_value_counts_too(app: Celery, store: Store):
    @app.task
    @keeps(max_bytes=50_000)
    def large(size: int) -> str:
        return "v" * size

    trace(app, large, 60_000)

    with pytest.raises(TooLarge, match="max_bytes"):
        app.AsyncResult("job").get()
    assert list(store.blobs.list("")) == []


def test_durable_small_value_survives_the_loss_of_redis(app: Celery, store: Store):
    class Counted(Task):
        name = "keeps.counted"

        @keeps(durable=True)
        def run(self) -> int:
            return 42

    trace(app, app.register_task(Counted()))
    store.index.delete("job")

    assert app.AsyncResult("job").get() == 42


def test_a_keeps_above_the_task_says_the_same(app: Celery, store: Store):
    @keeps(retention="1d")
    @app.task
    def above() -> Output:
        return Output(data=b"x")

    assert trace(app, above).retention == "1d"


def test_unknown_retention_class_is_refused_at_definition():
    with pytest.raises(BadReference, match="2d"):
        keeps(retention="2d")


@pytest.mark.parametrize("when", ["before", "after", "configured"])
def test_at_least_once_changes_only_its_settings(when: str, monkeypatch: pytest.MonkeyPatch):
    module = types.ModuleType("their_settings")
    module.broker_transport_options = {"visibility_timeout": 7_200}
    module.task_track_started = True
    monkeypatch.setitem(sys.modules, "their_settings", module)
    app = Celery("delivery", broker="memory://", backend="resultstore+memory://", set_as_current=False)

    if when == "before":
        setup(app, delivery="at-least-once")
    app.config_from_object("their_settings")
    if when == "configured":
        assert app.conf.task_track_started
    if when != "before":
        setup(app, delivery="at-least-once")

    assert app.conf.broker_transport_options == {"visibility_timeout": 7_200, "confirm_publish": True}
    assert (app.conf.task_acks_late, app.conf.task_reject_on_worker_lost) == (True, True)
    assert (app.conf.worker_prefetch_multiplier, app.conf.task_track_started) == (1, True)


def test_delivery_is_left_alone_unless_asked_for(app: Celery):
    assert not app.conf.task_acks_late
    assert "confirm_publish" not in app.conf.broker_transport_options
