"""Celery's progress is ours, and ours is Celery's: `update_state`, `store.progress`, `AsyncResult.info`."""

from collections.abc import Iterator
from decimal import Decimal
from threading import Event, Thread

import pytest
from celery import Celery, Task
from celery_progress.backend import Progress as ProgressBar, ProgressRecorder

from resultstore import Store
from resultstore.backends.celery import setup, store_of
from resultstore.backends.celery.record.progress_meta import read_progress
from resultstore.backends.celery.testing import working
from resultstore.model.result import Progress

WAIT_S = 30

app = Celery("progress", set_as_current=False)
app.conf.update(result_backend="resultstore+memory://", task_default_queue="progress")
setup(app)
halfway, looked = Event(), Event()


def pause() -> None:
    """Let the test look at the running task."""
    halfway.set()
    assert looked.wait(WAIT_S)


@app.task(bind=True)
def updates(self: Task) -> str:
    self.update_state(state="PROGRESS", meta={"current": 3, "total": 10, "status": "page 3", "mine": ["x"]})
    pause()
    return "done"


@app.task(bind=True)
def updates_in_a_thread(self: Task) -> str:
    def update() -> None:
        self.update_state(task_id, "PROGRESS", {"current": 3, "total": 10})

    task_id = self.request.id
    thread = Thread(target=update)
    thread.start()
    thread.join()
    pause()
    return "done"


@app.task(bind=True)
def updates_and_stores(self: Task) -> str:
    self.update_state(state="PROGRESS", meta={"current": 3, "total": 10, "mine": ["x"]})
    store_of(app).put(b"part", name="part.txt")
    self.update_state(state="LOADING", meta={"mine": ["y"]})
    pause()
    return "done"


@app.task(bind=True)
def reports(self: Task) -> str:
    self.update_state(state="PROGRESS", meta={"current": 1, "total": 10})
    store_of(app).progress(10, 10, "the last page")
    pause()
    return "done"


@app.task(bind=True)
def bar(self: Task) -> str:
    ProgressRecorder(self).set_progress(1, 4, "one of four")
    pause()
    return "done"


@app.task
def bar_of_ours() -> str:
    store_of(app).progress(4, 4, "all")
    pause()
    return "done"


@pytest.fixture(scope="module", autouse=True)
def worker() -> Iterator[None]:
    with working(app):
        yield


@pytest.fixture
def store() -> Store:
    return store_of(app)


@pytest.fixture
def running() -> Iterator[object]:
    """Sends a task; returns its result while the body waits, and lets it end after the test."""
    sent = []

    def send(task: Task, **options: object):
        halfway.clear()
        looked.clear()
        sent.append(task.apply_async(**options))
        assert halfway.wait(WAIT_S)
        return app.AsyncResult(sent[0].id)

    yield send
    looked.set()
    assert sent[0].get(timeout=WAIT_S) == "done"
    assert app.AsyncResult(sent[0].id).info == "done"


def test_update_state_becomes_progress(running, store: Store):
    result = running(updates)

    assert (result.state, result.info) == (
        "PROGRESS",
        {"current": 3, "total": 10, "status": "page 3", "mine": ["x"]},
    )
    assert store.peek(result.id).progress == Progress(3, 10, "page 3")


def test_update_state_in_a_thread_becomes_progress(running, store: Store):
    result = running(updates_in_a_thread)

    assert store.peek(result.id).progress == Progress(3, 10)


def test_update_state_announces_progress_to_watchers(running, store: Store):
    watching = store.index.events.open_subscription()
    watching.listen(["watched"])
    try:
        running(updates, task_id="watched")
        # Subscribed, sent, begun, and the report; the task waits, so nothing follows.
        while Progress(3, 10, "page 3") not in [one.progress for one in watching.wait(timeout_s=WAIT_S)]:
            pass
    finally:
        watching.close()


def test_parts_and_later_states_keep_progress(running, store: Store):
    result = running(updates_and_stores)

    found = store.load(result.id)
    assert (found.state, result.info) == ("LOADING", {"mine": ["y"]})
    assert found.progress == Progress(3, 10)
    assert [one.name for one in found.artifacts] == ["part.txt"]


def test_store_progress_appears_in_info(running):
    result = running(reports)

    assert result.state == "PROGRESS"
    assert result.info == {
        "pending": False,
        "current": 10,
        "total": 10,
        "percent": 100.0,
        "description": "the last page",
    }


def test_celery_progress_shows_its_own_reports(running, store: Store):
    result = running(bar)

    shown = ProgressBar(result).get_info()
    assert shown == {
        "state": "PROGRESS",
        "complete": False,
        "success": None,
        "progress": {"pending": False, "current": 1, "total": 4, "percent": 25.0, "description": "one of four"},
    }
    assert store.peek(result.id).progress == Progress(1, 4, "one of four")


def test_celery_progress_shows_store_progress(running):
    result = running(bar_of_ours)

    shown = ProgressBar(result).get_info()["progress"]
    assert (shown["current"], shown["total"], shown["percent"], shown["description"]) == (4, 4, 100.0, "all")


@pytest.mark.parametrize("meta", [None, "half", {}, {"total": 10}, {"current": None}, {"current": "some"}])
def test_meta_without_a_count_is_no_progress(meta):
    assert read_progress(meta) is None


@pytest.mark.parametrize(
    ("meta", "progress"),
    [
        ({"current": 0, "total": None}, Progress(0)),
        ({"current": Decimal("1.5"), "total": "3"}, Progress(1.5, 3.0)),
        ({"current": 1, "total": 2, "description": "", "message": "soon"}, Progress(1, 2, "soon")),
        ({"current": float("nan"), "total": []}, Progress(0)),
    ],
)
def test_numbers_of_any_type_are_progress(meta, progress: Progress):
    assert read_progress(meta) == progress
