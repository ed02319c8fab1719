"""Deleted and cancelled work, over a real worker: it is not begun, and what it still makes is not stored."""

import asyncio
import threading
import uuid

import pytest
from celery import Celery, chain, chord, states
from celery.exceptions import ChordError, TaskRevokedError

from resultstore import Result, Store
from resultstore.backends.celery import aio, store_of
from resultstore.backends.celery.dispatching import CeleryDispatcher
from resultstore.dispatch.orders import Order
from resultstore.model.errors import ResultDeleted

OWNER = "issuer|ann"
PATIENCE_S = 60


@pytest.fixture
def store(app: Celery) -> Store:
    return store_of(app)


def is_gone(store: Store, task_id: str) -> bool:
    blobs = [one for one in store.blobs.list("blobs/") if task_id in one.key]
    return store.load(task_id) is None and task_id not in list(store.ids(owner=OWNER)) and blobs == []


def test_a_deleted_part_fails_its_chord(worker, app, store):
    part, other = app.signature("worker_app.add", (1, 1)), app.signature("worker_app.add", (2, 2))
    part_id = uuid.uuid4().hex
    sent = chord([part.set(task_id=part_id, countdown=3), other], app.signature("worker_app.total")).apply_async()

    store.delete(part_id)

    with pytest.raises(ChordError, match="cancelled or deleted"):
        app.AsyncResult(sent.id).get(timeout=PATIENCE_S)


def test_deleted_link_fails_the_rest_of_its_chain(worker, app, store):
    link_id = uuid.uuid4().hex
    link = app.signature("worker_app.add", (2, 3)).set(task_id=link_id, countdown=3)
    sent = chain(link, app.signature("worker_app.add", (1,)), app=app).apply_async()

    store.delete(link_id)

    with pytest.raises(TaskRevokedError, match=link_id):
        sent.get(timeout=PATIENCE_S)
    assert app.AsyncResult(sent.id).state == states.FAILURE
    assert is_gone(store, link_id)


def test_ordering_a_deleted_id_is_refused(app, store):
    store.save(Result(id=(deleted := uuid.uuid4().hex), owner=OWNER))
    store.delete(deleted)
    backend_url = app.conf.result_backend or app.backend.url
    sender = Celery("sender", broker=app.conf.broker_url, backend=backend_url, set_as_current=False)
    sender.conf.task_default_queue = f"nobody-{uuid.uuid4().hex}"

    with pytest.raises(ResultDeleted, match="under a new id"):
        CeleryDispatcher(sender).send(Order(id=deleted, task="worker_app.add", owner=OWNER))


@pytest.mark.parametrize("when", ["before", "meanwhile"])
@pytest.mark.parametrize("waits", ["get", "get_many"])
def test_waiter_for_deleted_work_is_notified(client, task_id, when, waits):
    store = store_of(client)
    store.save(Result(id=task_id))
    result, told = client.AsyncResult(task_id), []

    def wait() -> None:
        if waits == "get":
            with pytest.raises(TaskRevokedError, match=task_id):
                result.get(timeout=PATIENCE_S)
        else:
            [(_, meta)] = client.backend.get_many([task_id], timeout=PATIENCE_S)
            assert meta["status"] == states.REVOKED
        told.append(True)

    if when == "before":
        store.delete(task_id)
    waiter = threading.Thread(target=wait)
    waiter.start()
    if when == "meanwhile":
        store.delete(task_id)
    waiter.join(2 * PATIENCE_S)

    assert told == [True]
    assert client.AsyncResult(task_id).state == states.PENDING, "as after Celery's own forget"


def test_coroutine_waiting_for_deleted_work_is_notified(client, task_id):
    store = store_of(client)
    store.save(Result(id=task_id))

    async def wait() -> None:
        waiting = asyncio.create_task(aio.get(client.AsyncResult(task_id), timeout_s=PATIENCE_S))
        await asyncio.sleep(0)
        await asyncio.to_thread(store.delete, task_id)
        with pytest.raises(TaskRevokedError, match=task_id):
            await waiting

    asyncio.run(wait())
