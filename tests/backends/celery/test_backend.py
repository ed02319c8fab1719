"""The backend alone: Celery's own tracer runs a task here, over a Store in memory."""

import copy
from collections.abc import Iterator

import pytest
from celery import Celery, Task
from celery.app.trace import build_tracer
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import GroupResult
from celery.signals import before_task_publish
from kombu import Producer

from resultstore import Artifact, Output, State, Store
from resultstore.backends.celery import setup, store_of
from resultstore.blobs.blobstore import OutcomeUnknown
from resultstore.model import layout
from resultstore.model.result import Result
from resultstore.store import miss_cache
from resultstore.store.attempt import Attempt

URL = "resultstore+memory://?blobs=memory://"


@pytest.fixture
def app() -> Celery:
    made = Celery("door", broker="memory://", backend=URL, set_as_current=False)
    setup(made)
    return made


@pytest.fixture
def store(app: Celery) -> Store:
    return store_of(app)


def trace(app: Celery, task: Task, /, *args: object, **request: object) -> object:
    """Run `task` under the id "job" as a worker does; what it returned, as it travels on."""
    told = build_tracer(task.name, task, app=app)("job", args, {}, {"id": "job", **request})
    return told.retval


def read(store: Store, artifact: object) -> bytes:
    assert isinstance(artifact, Artifact)
    with store.open(artifact) as content:
        return content.read()


def forbid(*_: object, **__: object) -> None:
    raise AssertionError


def test_second_attempt_returns_the_first_ones_value(app: Celery, store: Store):
    answers = iter(["first", "second"])

    @app.task
    def twice() -> dict[str, object]:
        answer = next(answers)
        return {"answer": answer, "file": Output(data=answer.encode(), name=answer)}

    first = trace(app, twice)
    store.index.delete("job")
    second = trace(app, twice)

    assert first["answer"] == second["answer"] == "first"
    assert read(store, second["file"]) == b"first"
    assert app.AsyncResult("job").get() == first


def test_failed_tasks_stored_blobs_are_deleted(app: Celery, store: Store):
    @app.task
    def fails() -> None:
        store.put(b"a part", name="part")
        raise ZeroDivisionError

    trace(app, fails)

    assert app.AsyncResult("job").state == "FAILURE"
    assert list(store.blobs.list("")) == []


def test_recursive_body_gets_its_own_return_value(app: Celery, store: Store):
    @app.task(bind=True)
    def nested(self: Task, depth: int) -> object:
        return [type(self.run(depth - 1)).__name__, Output(data=b"x")] if depth else iter_of(b"inner")

    def iter_of(content: bytes) -> Iterator[bytes]:
        yield content

    name, artifact = trace(app, nested, 1)

    assert name == "generator"
    assert store.load("job").artifacts == (artifact,)


class Retried(Task):
    name = "door.retried"
    autoretry_for = (OSError,)
    max_retries = 3

    def run(self) -> Iterator[bytes]:
        yield b"x"
        raise OSError("once")


def test_a_registered_task_is_captured_inside_its_retries(app: Celery, store: Store):
    task = app.register_task(Retried())

    trace(app, task)

    assert app.AsyncResult("job").state == "RETRY"
    assert list(store.blobs.list("")) == []


def test_tasks_made_before_setup_are_captured_once():
    app = Celery("door", broker="memory://", backend=URL, set_as_current=False)

    @app.task(autoretry_for=(OSError,))
    def early() -> Output:
        return Output(data=b"early")

    app.finalize()
    setup(app)
    setup(app)

    assert read(store_of(app), trace(app, app.tasks[early.name])) == b"early"
    assert len(store_of(app).load("job").artifacts) == 1


@pytest.mark.parametrize("with_an_artifact", [False, True])
def test_large_value_leaves_a_reference_in_its_record(app: Celery, store: Store, with_an_artifact: bool):
    @app.task
    def large() -> list[object]:
        return ["v" * 20_000, *([Output(data=b"x")] if with_an_artifact else [])]

    trace(app, large)

    assert b"resultstore.spill/1" in store.index.load("job").value
    assert len(store.index.load("job").value) < 600
    assert app.AsyncResult("job").get()[0] == "v" * 20_000


def test_dispatch_announces_work_and_keeps_known_records(app: Celery, store: Store):
    app.send_task("any", task_id="new")
    assert store.peek("new").state == State.PENDING

    store.save(Result(id="known", state=State.STARTED, task="t"))
    app.send_task("any", task_id="known")
    assert store.peek("known").state == State.STARTED


def test_work_is_pending_before_its_message_is_out(app: Celery, store: Store, monkeypatch: pytest.MonkeyPatch):
    states: list[str] = []
    publish = Producer.publish

    def publishing(*args: object, **kwargs: object) -> object:
        states.append(store.peek("sent").state)
        return publish(*args, **kwargs)

    monkeypatch.setattr(Producer, "publish", publishing)
    app.send_task("any", task_id="sent")

    assert states == [State.PENDING]


def test_record_life_follows_the_apps_setting(app: Celery, store: Store):
    app.conf.result_expires = 1_234
    backend = app.backend.__class__(app, url="memory://?blobs=memory://")
    lives: list[int | None] = []
    save = backend.store.index.save

    def saving(result: Result, *, ttl_s: int | None, **options: object) -> bool:
        lives.append(ttl_s)
        return save(result, ttl_s=ttl_s, **options)

    backend.store.index.save = saving
    backend.on_task_call(None, "job")
    before_task_publish.send("any", headers={"id": "job"}, body=((), {}, {}))
    backend.store_result("job", 1, "SUCCESS")
    backend.store_result("other", ValueError("x"), "FAILURE")

    assert lives == [1_234] * 3
    assert backend.groups.header_life_s == 1_234


def test_a_waiter_is_called_back_while_it_waits(app: Celery):
    calls: list[int] = []

    with pytest.raises(CeleryTimeoutError):
        app.AsyncResult("job").get(timeout=3.5, on_interval=lambda: calls.append(1))

    assert calls


def test_forgetting_deletes_record_seal_and_blobs(app: Celery, store: Store):
    @app.task
    def makes() -> Output:
        return Output(data=b"x")

    trace(app, makes)

    app.AsyncResult("job").forget()

    assert app.AsyncResult("job").state == "PENDING"
    assert list(store.blobs.list("blobs/")) == []


def test_a_group_is_restored_until_it_is_deleted(app: Celery):
    made = GroupResult("g", [app.AsyncResult("a"), app.AsyncResult("b")], app=app)

    made.save()
    restored = GroupResult.restore("g", app=app)
    assert [child.id for child in restored.children] == ["a", "b"]

    made.delete()
    assert GroupResult.restore("g", app=app) is None


def test_a_copied_backend_speaks_to_the_same_servers(app: Celery):
    backend = app.backend.__class__(app, url="redis://nowhere:1/3?blobs=memory://&socket_timeout=2")
    again = copy.copy(backend)

    for one in (backend, again):
        assert one.store.settings.blobs.url == "memory://"
        assert one.store.settings.index.url == "redis://nowhere:1/3?socket_timeout=2"


def test_the_state_is_polled_without_the_value(app: Celery, store: Store):
    app.backend.store_result("job", "v" * 10_000, "SUCCESS")
    store.index.load = forbid

    assert app.backend.get_state("job") == "SUCCESS"
    assert app.backend.task_result_exists("job")


def test_what_celery_knows_of_a_task_comes_back(app: Celery, store: Store):
    @app.task(bind=True)
    def parent(self: Task) -> int:
        self.request.children.append(app.AsyncResult("child"))
        return 1

    trace(app, parent, task=parent.name, retries=2, hostname="celery@here")

    found, result = store.load("job"), app.AsyncResult("job")
    assert (found.retries, found.worker, found.task) == (2, "celery@here", parent.name)
    assert [child.id for child in result.children] == ["child"]
    assert result.date_done is not None


def test_unknown_commit_fails_until_its_seal_is_readable(monkeypatch: pytest.MonkeyPatch):
    # given: the store commits, but its answer is lost and its seal cannot be read for a while
    monkeypatch.setattr(miss_cache, "MISS_FIRST_S", 0.0)
    monkeypatch.setenv("RESULTSTORE_COMMIT_BUDGET_S", "0.1")
    app = Celery("door", broker="memory://", backend=URL, set_as_current=False)
    setup(app)
    store = store_of(app)
    create, get = store.blobs.create, store.blobs.get
    lost: list[str] = []

    def unheard(key: str, body: bytes, **options: object) -> OutcomeUnknown:
        lost.append(key)
        create(key, body, **options)
        return OutcomeUnknown("cut")

    def blind(_: str, **options: int) -> Iterator[bytes]:
        return get(layout.seal_key("unknown"), **options)

    @app.task
    def makes() -> Output:
        return Output(data=b"x", name="part")

    # when
    store.blobs.create, store.blobs.get = unheard, blind
    trace(app, makes)

    # then
    assert lost
    assert app.AsyncResult("job").state == "FAILURE"
    store.blobs.create, store.blobs.get = create, get
    assert read(store, app.AsyncResult("job").get()) == b"x"
    assert app.AsyncResult("job").state == "SUCCESS"


def test_late_failure_does_not_hide_a_seal(app: Celery, store: Store):
    store.seal(Attempt("job"), value=b'"first"')

    @app.task
    def fails() -> None:
        raise ZeroDivisionError

    trace(app, fails)

    assert app.AsyncResult("job").get() == "first"
