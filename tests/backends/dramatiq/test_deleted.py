"""Deleted and cancelled messages: they are not run, and their waiters are woken."""

from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.results import ResultMissing

from resultstore import Settings, State, Store, connect
from resultstore.backends.dramatiq import ResultStoreBackend, setup

OWNER = "ann"
LIMIT_MS = 60_000


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
    """Process all messages that were sent."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)

    def all_done() -> None:
        worker.start()
        broker.join("default", timeout=LIMIT_MS, fail_fast=False)
        worker.join()

    yield all_done
    worker.stop()


def nothing_is_left(store: Store, result_id: str) -> bool:
    return (store.load(result_id), list(store.ids(owner=OWNER)), list(store.blobs.list("blobs/"))) == (None, [], [])


@pytest.mark.parametrize("end", ["delete", "cancel", "cancel and delete"])
def test_cancelled_or_deleted_message_is_not_run(broker, store, done, end):
    runs = []
    actor = dramatiq.actor(lambda: runs.append(1), actor_name="counted")
    message = actor.send_with_options(resultstore_owner=OWNER)

    if "cancel" in end:
        store.save(store.load(message.message_id).moved(State.REVOKED))
    if "delete" in end:
        store.delete(message.message_id)
    done()

    assert runs == []
    if "delete" in end:
        assert nothing_is_left(store, message.message_id)
    else:
        assert store.load(message.message_id).state == State.REVOKED


def test_waiter_for_a_deleted_result_is_woken(broker, store):
    message = dramatiq.actor(lambda: 1, actor_name="one").send()
    store.delete(message.message_id)

    with pytest.raises(ResultMissing):
        message.get_result(block=True, timeout=LIMIT_MS)
