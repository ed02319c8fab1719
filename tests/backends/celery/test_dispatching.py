"""Dispatching over a real worker: an order's owner, from the PENDING record to the seal and to all that follows."""

import hashlib
import time
import uuid
from collections.abc import Callable

import msgspec
import pytest
from celery import Celery, chain, chord
from kombu import Queue

from resultstore import Artifact, BadReference, Result, State, Store
from resultstore.backends.celery import store_of
from resultstore.backends.celery.dispatching import CeleryDispatcher
from resultstore.dispatch.orders import Order, read_order
from resultstore.model import layout
from resultstore.model.errors import BrokerUnavailable

ALICE = "issuer|alice"


@pytest.fixture
def store(app: Celery) -> Store:
    return store_of(app)


@pytest.fixture
def order() -> Callable[..., Order]:
    return lambda task, **arguments: Order(
        id=uuid.uuid4().hex, task=f"worker_app.{task}", owner=ALICE, arguments=arguments
    )


@pytest.fixture
def dispatcher(app: Celery) -> CeleryDispatcher:
    return CeleryDispatcher(_sender(app, app.conf.broker_url))


def _sender(app: Celery, broker_url: str, queue: str | None = None) -> Celery:
    sender = Celery(
        "sender", broker=broker_url, backend=app.conf.result_backend or app.backend.url, set_as_current=False
    )
    sender.conf.task_default_queue = queue or app.conf.task_default_queue
    return sender


def until(seen: Callable[[], Result | None], state: State) -> Result:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = seen()
        if found is not None and found.state == state:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not {state}: {seen()}")


def test_owner_is_in_record_list_and_seal(worker, store, dispatcher, order):
    sent = order("named")
    dispatcher.send(sent)
    done = store.wait(sent.id, timeout_s=20)
    assert (done.state, done.owner) == (State.SUCCESS, ALICE)
    assert sent.id in list(store.ids(owner=ALICE))

    store.index.delete(sent.id)  # Redis lost
    assert store.load(sent.id).owner == ALICE


def test_work_is_pending_with_its_owner_when_sent(store, app, order):
    sent = order("add", x=1, y=2)
    CeleryDispatcher(_sender(app, app.conf.broker_url, queue=f"nobody-{uuid.uuid4().hex}")).send(sent)
    found = store.load(sent.id)
    assert (found.state, found.owner, found.task) == (State.PENDING, ALICE, "worker_app.add")


@pytest.mark.parametrize("outcome", ["fails", "retried_stream", "large_value"])
def test_no_transition_loses_the_owner(worker, store, dispatcher, order, outcome):
    arguments = {"fails": {"why": "because"}, "large_value": {"size_bytes": 20_000}}.get(outcome, {})
    sent = order(outcome, **arguments)
    owners = set()
    with store.watch(sent.id) as watch:
        dispatcher.send(sent)
        while not (found := store.load(sent.id)).terminal:
            owners.add(found.owner)
            watch.wait(5)
    assert owners | {found.owner} == {ALICE}


def test_tasks_sent_by_a_task_inherit_its_owner(worker, app, store, dispatcher, order):
    sent = order("parent_of_owner")
    dispatcher.send(sent)
    child = app.AsyncResult(app.AsyncResult(sent.id).get(timeout=20))
    assert child.get(timeout=20) == ALICE
    assert store.load(child.id).owner == ALICE


def test_links_callbacks_and_bodies_inherit_the_owner(worker, app, store):
    tasks, headers = app.tasks, {"resultstore_owner": ALICE}
    shape, owner = tasks["worker_app.shape"], tasks["worker_app.ignores"]
    linked = chain(shape.s(1), owner.s()).apply_async(headers=headers)
    body = chord([shape.s(1).set(headers=headers), shape.s(2).set(headers=headers)], owner.s()).apply_async()
    for result in (linked, body):
        assert app.AsyncResult(result.get(timeout=20)).get(timeout=20) == ALICE
        assert store.load(result.id).owner == ALICE


def test_state_written_by_another_task_keeps_its_owner(worker, app, store, dispatcher, order):
    sent, waiting = order("update_other", task_id=(other := uuid.uuid4().hex)), Result(id=other, owner="bob")
    store.save(waiting.moved(State.PENDING))
    dispatcher.send(sent)
    assert store.wait(other, timeout_s=20).owner == "bob"


@pytest.mark.parametrize("size_bytes", [10, 3_000_000])
def test_upload_is_its_tasks_first_artifact(worker, store, dispatcher, order, size_bytes):
    sent, content = order("size_of"), b"u" * size_bytes
    key = layout.upload_key(sent.id, retention="1d", nonce=layout.new_nonce())
    stored = store.blobs.put(key, [content], media_type="text/csv")
    source = store.signatures.sign(
        Artifact(
            id=sent.id,
            name="input",
            file_name="a.csv",
            key=key,
            etag=stored.etag,
            size_bytes=size_bytes,
            media_type="text/csv",
            sha256="",
            stored_bytes=size_bytes,
            retention="1d",
            owner=ALICE,
            expires_at=layout.expiry("1d", start=time.time()),
            metadata={"role": "input"},
        )
    )
    dispatcher.send(msgspec.structs.replace(sent, source=source))
    assert store.load(sent.id).artifacts[0].key == key  # from the dispatch on
    done = store.wait(sent.id, timeout_s=20)
    assert (done.state, done.sealed) == (State.SUCCESS, True)
    store.index.delete(sent.id)
    [adopted] = store.load(sent.id).artifacts
    assert (adopted.key, adopted.sha256) == (key, hashlib.sha256(content).hexdigest())
    assert store.open(adopted).read() == content


def test_a_message_that_names_anothers_bytes_fails(worker, app, store, dispatcher, order):
    bobs = order("named")
    dispatcher.send(msgspec.structs.replace(bobs, owner="bob"))
    [secret] = store.wait(bobs.id, timeout_s=20).artifacts
    for forged in (secret, msgspec.structs.replace(secret, owner=ALICE)):
        sent = msgspec.structs.replace(order("size_of"), source=forged)
        dispatcher.send(sent)
        done = store.wait(sent.id, timeout_s=20)
        assert (done.state, done.failure.type) == (State.FAILURE, "NotYours" if forged is secret else "BadReference")


def test_unreachable_broker_leaves_no_work(app, store, order):
    sent = order("add", x=1, y=2)
    dispatcher = CeleryDispatcher(_sender(app, "amqp://guest:guest@127.0.0.1:1//"))
    with pytest.raises(BrokerUnavailable, match=sent.id):
        dispatcher.send(sent)
    assert store.load(sent.id) is None
    assert read_order(store, sent.id) is None


def test_refused_message_leaves_no_work(app, store, order):
    name = f"full-{uuid.uuid4().hex}"
    sender = _sender(app, app.conf.broker_url, queue=name)
    sender.conf.task_queues = [
        Queue(name, queue_arguments={"x-max-length": 1, "x-overflow": "reject-publish", "x-expires": 60_000})
    ]
    dispatcher, first, second = CeleryDispatcher(sender), order("add"), order("add")
    dispatcher.send(first)
    with pytest.raises(BrokerUnavailable):
        dispatcher.send(second)
    assert store.load(first.id).state == State.PENDING
    assert store.load(second.id) is None


def test_order_can_be_repeated_and_forged_ones_not(app, store, order):
    sent = order("add", x=1, y=2)
    CeleryDispatcher(_sender(app, app.conf.broker_url, queue=f"nobody-{uuid.uuid4().hex}")).send(sent)
    assert read_order(store, sent.id) == sent

    key = layout.order_key(sent.id)
    forged = store.index.keys.read(key).replace(ALICE.encode(), b"issuer|bobby")
    store.index.keys.keep(key, forged, ttl_s=60)
    with pytest.raises(BadReference):
        read_order(store, sent.id)


def test_unstarted_work_is_revoked_at_once(app, store, order):
    dispatcher = CeleryDispatcher(_sender(app, app.conf.broker_url, queue=f"nobody-{uuid.uuid4().hex}"))
    sent = order("add", x=1, y=2)
    dispatcher.send(sent)
    dispatcher.cancel(sent.id)
    found = store.load(sent.id)
    assert (found.state, found.owner) == (State.REVOKED, ALICE)


def test_a_running_task_is_ended(worker, store, dispatcher, order):
    sent = order("long")
    dispatcher.send(sent)
    until(lambda: store.load(sent.id), State.PROGRESS)
    assert store.load(sent.id).created_at <= store.load(sent.id).started_at
    dispatcher.cancel(sent.id)
    assert store.wait(sent.id, timeout_s=20).state == State.REVOKED
    assert store.load(sent.id).owner == ALICE


def test_it_says_soon_whether_its_broker_answers(app, dispatcher):
    dispatcher.probe()
    silent = CeleryDispatcher(_sender(app, "amqp://guest:guest@127.0.0.1:1//"))

    began = time.monotonic()
    with pytest.raises(BrokerUnavailable) as why:
        silent.probe()

    assert time.monotonic() - began < 10
    assert "guest" not in str(why.value)
