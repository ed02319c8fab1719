"""Owners: what a message says, its Result, its seal and all that it sends off itself belong to."""

import time
from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from resultstore import Artifact, NotYours, Output, Settings, Store, connect
from resultstore.backends.dramatiq import ResultStoreBackend, setup

PLAIN_LIMIT_S = 20


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://", secret_key="k" * 32))


@pytest.fixture
def broker(store: Store) -> Iterator[StubBroker]:
    before, encoder = dramatiq.broker.global_broker, dramatiq.get_encoder()
    made = StubBroker()
    made.emit_after("process_boot")
    made.add_middleware(dramatiq.results.Results(backend=ResultStoreBackend(store=store), store_results=True))
    dramatiq.set_broker(made)
    setup(made, store=store)
    yield made
    made.close()
    dramatiq.set_broker(before)
    dramatiq.set_encoder(encoder)


@pytest.fixture
def done(broker: StubBroker):
    """Work off what was sent."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)

    def all_done() -> None:
        worker.start()
        broker.join("default", timeout=1000 * PLAIN_LIMIT_S, fail_fast=False)
        worker.join()

    yield all_done
    worker.stop()


def sent(actor: dramatiq.Actor, *args: object, owner: str = "") -> str:
    return actor.send_with_options(args=args, **({"resultstore_owner": owner} if owner else {})).message_id


def test_an_owner_stands_in_the_record_the_artifact_the_seal_and_his_list(broker, store, done):
    report = dramatiq.actor(lambda: Output(data=b"made", name="made.txt"), actor_name="report")

    message_id = sent(report, owner="ann")
    assert store.load(message_id).owner == "ann"
    done()

    found = store.load(message_id)
    assert [found.owner, *(one.owner for one in found.artifacts)] == ["ann", "ann"]
    assert list(store.ids(owner="ann")) == [message_id]
    store.index.delete(message_id)
    assert store.load(message_id).owner == "ann"


def test_what_an_owned_actor_sends_is_the_same_owners_and_then_nobodys(broker, store, done):
    ids = []
    last = dramatiq.actor(lambda: 1, actor_name="last")
    first = dramatiq.actor(lambda: ids.append(last.send().message_id), actor_name="first")

    sent(first, owner="ann")
    done()
    sent(first)
    done()

    assert [store.load(one).owner for one in ids] == ["ann", ""]


def test_the_next_message_of_a_pipeline_is_the_same_owners(broker, store, done):
    add = dramatiq.actor(lambda x, y=1: x + y, actor_name="add")
    pipeline = add.message(1) | add.message()
    pipeline.messages[0].options["resultstore_owner"] = "ann"

    pipeline.run()
    done()

    second = pipeline.messages[1].message_id
    assert (store.load(second).owner, pipeline.get_result()) == ("ann", 3)


def test_inside_an_owners_task_another_owners_artifact_is_refused(broker, store, done):
    seen = []

    def reads(artifact: Artifact) -> None:
        try:
            seen.append(store.open(artifact).read())
        except NotYours as why:
            seen.append(type(why))

    reading = dramatiq.actor(reads, actor_name="reads")
    report = dramatiq.actor(lambda: Output(data=b"made", name="made.txt"), actor_name="report")
    anns = sent(report, owner="ann")
    done()
    artifact = store.load(anns).artifacts[0]

    for owner in ("ann", "bob"):
        sent(reading, artifact, owner=owner)
        done()

    assert seen == [b"made", NotYours]


def test_a_retry_keeps_its_owner(broker, store, done):
    runs = []

    def fails_once() -> int:
        runs.append(time.monotonic())
        if len(runs) == 1:
            raise OSError("once")
        return len(runs)

    actor = dramatiq.actor(fails_once, actor_name="fails", max_retries=1, min_backoff=10, max_backoff=20)
    message_id = sent(actor, owner="ann")
    done()

    assert (len(runs), store.load(message_id).owner) == (2, "ann")


def test_message_keeps_its_own_owner(broker, store, done):
    ids: list[str] = []
    whose = dramatiq.actor(lambda: 1, actor_name="whose")
    sends = dramatiq.actor(lambda: ids.extend([sent(whose, owner="bob"), sent(whose)]), actor_name="sends")

    sent(sends, owner="ann")
    done()

    assert [store.load(one).owner for one in ids] == ["bob", "ann"]
