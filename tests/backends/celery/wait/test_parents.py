"""Parents: a waiter gets a parent's error, and downloads no parent's value."""

import pickle

import pytest
from celery import Celery

from resultstore.backends.celery import setup


@pytest.fixture
def app() -> Celery:
    made = Celery("parents", broker="memory://", backend="resultstore+memory://", set_as_current=False)
    made.conf.resultstore_blobs_url = "memory://"
    setup(made)
    setup(made)
    return made


@pytest.fixture
def read(app: Celery, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids whose values were read, in their order."""
    ids, value = [], app.backend.store.value
    monkeypatch.setattr(app.backend.store, "value", lambda found: ids.append(found.id) or value(found))
    return ids


def test_no_value_of_a_parent_is_read(app: Celery, read: list[str]):
    header = app.GroupResult("header", [app.AsyncResult(f"part-{n}") for n in range(3)])
    for one in (app.AsyncResult("first"), *header.results, app.AsyncResult("body")):
        app.backend.mark_as_done(one.id, one.id * 20_000)
    header.parent = app.AsyncResult("first")

    assert app.AsyncResult("body", parent=header).get(timeout=5) == "body" * 20_000

    assert read == ["body"]


def test_error_of_a_part_is_raised_before_waiting(app: Celery):
    header = app.GroupResult("header", [app.AsyncResult("good"), app.GroupResult("in", [app.AsyncResult("bad")])])
    app.backend.mark_as_done("good", 1)
    app.backend.mark_as_failure("bad", ValueError("of a part"))

    with pytest.raises(ValueError, match="of a part"):
        app.AsyncResult("body", parent=header).get(timeout=5)


def test_result_can_be_pickled_and_keeps_its_app(app: Celery):
    assert type(app.AsyncResult("one")).__name__ == "AsyncResult"
    assert app.AsyncResult("one").app is app
    assert pickle.loads(pickle.dumps(app.AsyncResult("one"))).id == "one"
