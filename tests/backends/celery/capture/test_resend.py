"""A second message with an id that is sealed: it is not computed again, and its callbacks are not sent again."""

import uuid
from collections.abc import Iterator

import pytest
from celery import Celery, Task, chain, chord
from celery.app.trace import build_tracer

from resultstore import Artifact, Output, State, Store
from resultstore.backends.celery import setup, store_of
from resultstore.backends.celery.testing import working

calls: list[tuple[str, str]] = []


def make_app() -> Celery:
    app = Celery("resend", broker="memory://", backend="resultstore+memory://?blobs=memory://", set_as_current=False)
    setup(app)

    @app.task(bind=True, shared=False, name="render")
    def render(self: Task, text: str) -> Output:
        calls.append(("render", self.request.id))
        return Output(data=text.encode(), name="page.txt")

    @app.task(bind=True, shared=False, name="mail")
    def mail(self: Task, page: object) -> None:
        calls.append(("mail", self.request.parent_id))

    @app.task(shared=False, name="names")
    def names(pages: list[Artifact]) -> list[str]:
        return [page.name for page in pages]

    @app.task(shared=False, name="size_of")
    def size_of(page: Artifact) -> int:
        return page.size_bytes

    @app.task(bind=True, shared=False, name="fails_at_first")
    def fails_at_first(self: Task) -> Output:
        calls.append(("fails_at_first", self.request.id))
        if calls.count(("fails_at_first", self.request.id)) == 1:
            raise ValueError("not yet")
        return Output(data=b"now", name="now.txt")

    return app


@pytest.fixture(scope="module")
def app() -> Celery:
    return make_app()


@pytest.fixture(scope="module")
def store(app: Celery) -> Iterator[Store]:
    with working(app) as made:
        yield made


@pytest.fixture(params=["uuid", "name"])
def task_id(request) -> str:
    return str(uuid.uuid4()) if request.param == "uuid" else f"invoice/{uuid.uuid4()}"


def runs(app: Celery, name: str, task_id: str) -> int:
    """How often it ran, once all that was sent before has been worked on."""
    app.send_task("render", ("last",)).get(timeout=60)
    return calls.count((name, task_id))


def test_sealed_id_is_not_computed_again(app: Celery, store: Store, task_id: str):
    first = app.send_task("render", ("one",), task_id=task_id, link=app.signature("mail")).get(timeout=60)
    stored = {one.key for one in store.blobs.list("")}

    again = app.send_task("render", ("two",), task_id=task_id, link=app.signature("mail")).get(timeout=60)

    assert runs(app, "render", task_id) == 1
    assert runs(app, "mail", task_id) == 1
    assert (again.sha256, again.key) == (first.sha256, first.key)
    assert {one.key for one in store.blobs.list("")} >= stored


def test_sealed_id_continues_another_chain(app: Celery, store: Store):
    task_id = f"invoice/{uuid.uuid4()}"
    page = app.signature("render", ("one",)).set(task_id=task_id, link=app.signature("mail"))
    assert chain(page.clone(), app.signature("size_of"), app=app)().get(timeout=60) == 3

    assert chain(page.clone(), app.signature("size_of"), app=app)().get(timeout=20) == 3

    assert runs(app, "render", task_id) == 1
    assert runs(app, "mail", task_id) == 1


def test_sealed_id_counts_in_another_chord(app: Celery, store: Store):
    task_id = f"invoice/{uuid.uuid4()}"

    def names() -> list[str]:
        pages = [app.signature("render", ("one",)).set(task_id=task_id), app.signature("render", ("two",))]
        return chord(pages, app.signature("names"), app=app)().get(timeout=20)

    assert names() == ["page.txt", "page.txt"]
    assert names() == ["page.txt", "page.txt"]
    assert runs(app, "render", task_id) == 1


def test_lost_record_comes_back_without_a_run(app: Celery, store: Store, task_id: str):
    app.send_task("render", ("one",), task_id=task_id).get(timeout=60)
    store.index.delete(task_id)

    again = app.send_task("render", ("two",), task_id=task_id)

    assert again.get(timeout=60).size_bytes == 3
    assert runs(app, "render", task_id) == 1
    assert store.load(task_id).state == State.SUCCESS


def test_rerun_header_computes_a_sealed_id_again(app: Celery, store: Store, task_id: str):
    first = app.send_task("render", ("one",), task_id=task_id).get(timeout=60)

    app.send_task("render", ("two",), task_id=task_id, headers={"resultstore_rerun": True})

    assert runs(app, "render", task_id) == 2
    assert store.load(task_id).artifacts == (first,)


def test_failed_id_is_computed_again(app: Celery, store: Store, task_id: str):
    with pytest.raises(ValueError, match="not yet"):
        app.send_task("fails_at_first", task_id=task_id).get(timeout=60)

    app.send_task("fails_at_first", task_id=task_id)

    assert runs(app, "fails_at_first", task_id) == 2
    assert store.load(task_id).state == State.SUCCESS


def test_redelivered_sealed_task_gives_its_value_unrun():
    app = make_app()
    task, task_id = app.tasks["render"], uuid.uuid4().hex

    def trace(*, redelivered: bool) -> object:
        request = {"id": task_id, "delivery_info": {"redelivered": redelivered}}
        return build_tracer(task.name, task, app=app)(task_id, ("one",), {}, request).retval

    first = trace(redelivered=False)
    again = trace(redelivered=True)

    assert again == first
    assert calls.count(("render", task_id)) == 1


def test_id_that_celery_made_is_not_looked_up(app: Celery, store: Store, monkeypatch: pytest.MonkeyPatch):
    looked_up = []
    monkeypatch.setattr(Store, "outcome", lambda _, task_id: looked_up.append(task_id))

    app.send_task("render", ("one",)).get(timeout=60)
    app.tasks["render"].delay("two").get(timeout=60)
    (app.tasks["render"].s("three") | app.tasks["mail"].s()).delay().get(timeout=60)

    assert looked_up == []


def test_setup_twice_marks_once(app: Celery):
    send = app.send_task

    setup(app)

    assert app.send_task is send
    assert store_of(app) is not None
