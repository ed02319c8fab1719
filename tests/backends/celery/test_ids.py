"""Ids and states of any type: what Django, SQLAlchemy and Enums hand over is stored and waited for by its text."""

import asyncio
import threading
import uuid
from enum import Enum

import pytest
import redis
from celery import Celery, states
from celery.app.task import Context
from celery.result import AsyncResult

from resultstore.backends.celery import aio, setup
from resultstore.backends.celery.testing import working
from resultstore.model import layout
from resultstore.model.errors import BadReference

WAIT_S = 30


class Text(str):
    """A text of a class of its own."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"<{self!r}>"


class Stage(str, Enum):  # noqa: UP042 - the form whose `str()` is "Stage.LOADING"
    LOADING = "LOADING"
    SUCCESS = "SUCCESS"


ODD = [uuid.UUID(int=7), b"bytes", Text("text"), 5, Stage.LOADING]
TEXTS = [str(uuid.UUID(int=7)), "bytes", "text", "5", "LOADING"]
BAD = ["", "\ud800", b"\xff"]


@pytest.mark.parametrize(("odd", "text"), zip(ODD, TEXTS, strict=True), ids=TEXTS)
def test_odd_id_means_its_text(client: Celery, odd: object, text: str):
    client.backend.store_result(odd, "by the odd one", states.SUCCESS)
    assert client.AsyncResult(text).get(timeout=WAIT_S) == "by the odd one"

    client.backend.store_result(text, "other", "LOADING")  # a success is never written over
    assert client.AsyncResult(odd).state == states.SUCCESS
    assert AsyncResult(odd, app=client).get(timeout=WAIT_S) == "by the odd one"
    assert dict(client.backend.get_many([odd]))[odd]["result"] == "by the odd one"

    client.AsyncResult(odd).forget()
    assert client.AsyncResult(text).state == states.PENDING


@pytest.mark.parametrize("odd", ODD, ids=TEXTS)
def test_waiter_for_an_odd_id_is_woken(client: Celery, odd: object):
    timer = threading.Timer(0.2, client.backend.store_result, (odd, "fine", states.SUCCESS))
    timer.start()
    assert client.AsyncResult(odd).get(timeout=WAIT_S) == "fine"
    timer.join()


def test_group_of_odd_ids_comes_in_order(client: Celery):
    for odd in ODD:
        client.backend.store_result(odd, repr(odd), states.SUCCESS)
    group = client.GroupResult(uuid.uuid4(), [client.AsyncResult(odd) for odd in ODD])
    group.save()
    assert client.GroupResult.restore(str(group.id)).get(timeout=WAIT_S) == [repr(odd) for odd in ODD]
    assert group.get(timeout=WAIT_S) == [repr(odd) for odd in ODD]


def test_coroutine_waits_for_odd_ids(client: Celery):
    for odd in ODD:
        client.backend.store_result(odd, repr(odd), states.SUCCESS)

    async def values() -> list[object]:
        return [await aio.get(client.AsyncResult(odd), timeout_s=WAIT_S) for odd in ODD]

    assert asyncio.run(values()) == [repr(odd) for odd in ODD]


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("bad", BAD, ids=["empty", "surrogate", "not UTF-8"])
def test_bad_id_fails_alone(client: Celery, task_id: str, bad: object):
    with pytest.raises(BadReference):
        client.AsyncResult(bad).get(timeout=WAIT_S)
    with pytest.raises(BadReference):
        asyncio.run(aio.get(client.AsyncResult(bad), timeout_s=WAIT_S))
    with pytest.raises(BadReference):
        client.backend.store_result(bad, 1, states.SUCCESS)

    timer = threading.Timer(0.2, client.backend.store_result, (task_id, "fine", states.SUCCESS))
    timer.start()
    assert client.AsyncResult(task_id).get(timeout=WAIT_S) == "fine"
    assert asyncio.run(aio.get(client.AsyncResult(task_id), timeout_s=WAIT_S)) == "fine"
    timer.join()


def test_enum_state_is_stored_as_its_value(client: Celery, task_id: str, raw: redis.Redis):
    request = Context(id=task_id, task="tasks.add")
    client.backend.store_result(task_id, {"done": 1}, Stage.LOADING, request=request)
    assert client.AsyncResult(task_id).state == "LOADING"
    assert b"Stage" not in raw.get(layout.record_key(task_id))

    client.backend.store_result(task_id, 7, Stage.SUCCESS, request=request)
    assert (client.AsyncResult(task_id).state, client.AsyncResult(task_id).get(timeout=WAIT_S)) == ("SUCCESS", 7)


def test_message_carries_its_odd_id_as_text():
    app = Celery("odd", set_as_current=False)
    app.conf.result_backend = "resultstore+memory://"
    setup(app)
    seen: list[tuple[object, object]] = []

    @app.task(bind=True)
    def note(self) -> str:
        seen.append((self.request.id, self.request.correlation_id))
        self.update_state(state=Stage.LOADING)
        return "v" * 20_000

    with working(app):
        for odd, text in zip(ODD, TEXTS, strict=True):
            assert note.apply_async(task_id=odd).get(timeout=WAIT_S) == "v" * 20_000
            assert app.AsyncResult(text).state == states.SUCCESS
    assert seen == [(text, text) for text in TEXTS]


def test_revoked_odd_id_ends_its_waiter():
    app = Celery("odd", set_as_current=False)
    app.conf.result_backend = "resultstore+memory://"
    setup(app)
    odd = uuid.uuid4()
    with working(app):
        app.backend.mark_as_revoked(odd, "terminated", request=Context(id=odd, task="tasks.add"))
        assert app.AsyncResult(str(odd)).state == states.REVOKED
