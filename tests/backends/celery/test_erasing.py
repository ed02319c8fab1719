"""Erasing the owner of queued Celery tasks: a worker that starts afterwards stores nothing of theirs."""

import tempfile
import time
import uuid

import pytest
from celery import Celery

from resultstore import State
from resultstore.backends.celery import setup, store_of
from resultstore.ops.owner_lists import erase
from tests.backends.celery.conftest import start_worker


@pytest.mark.parametrize("tracks_sent", [False, True])
def test_erased_queued_task_stores_nothing(app: Celery, environment: dict[str, str], tracks_sent: bool):
    sender = Celery(
        "sender",
        broker=app.conf.broker_url,
        backend="resultstore+" + environment["RS_TEST_REDIS_URL"],
        set_as_current=False,
    )
    sender.conf.update(task_default_queue=environment["RS_TEST_QUEUE"], resultstore_track_sent=tracks_sent)
    setup(sender)
    store = store_of(sender)
    ann, bob = (f"{name} {uuid.uuid4().hex}" for name in ("ann", "bob"))
    erased, kept = (sender.send_task("worker_app.named", headers={"resultstore_owner": one}) for one in (ann, bob))
    end = time.monotonic() + 10
    while store.peek(erased.id) is None:  # written without waiting for the server
        assert time.monotonic() < end
        time.sleep(0.01)

    assert erase(store, ann).results == 1

    with tempfile.TemporaryFile() as log:
        process = start_worker(environment, log)
        try:
            done = store.wait(kept.id, timeout_s=60)  # it was sent later
        finally:
            process.terminate()
            process.wait(30)  # after the tasks that it has begun
    assert (done.state, done.owner, len(done.artifacts)) == (State.SUCCESS, bob, 1)
    assert store.was_deleted(erased.id)
    assert list(store.ids(owner=ann)) == store.index.listing.everything(ann) == []
    assert [one.key for one in store.blobs.list("") if erased.id in one.key and "seals/" not in one.key] == []
