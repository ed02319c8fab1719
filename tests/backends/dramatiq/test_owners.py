"""Owners along a pipeline."""

from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from resultstore import Settings, Store, connect
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
    """Process all messages that were sent."""
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=1)

    def all_done() -> None:
        worker.start()
        broker.join("default", timeout=1000 * PLAIN_LIMIT_S, fail_fast=False)
        worker.join()

    yield all_done
    worker.stop()


def sent(actor: dramatiq.Actor, *args: object, owner: str = "") -> str:
    return actor.send_with_options(args=args, **({"resultstore_owner": owner} if owner else {})).message_id


def test_pipeline_keeps_the_owner(broker, store, done):
    add = dramatiq.actor(lambda x, y=1: x + y, actor_name="add")
    pipeline = add.message(1) | add.message()
    pipeline.messages[0].options["resultstore_owner"] = "ann"

    pipeline.run()
    done()

    second = pipeline.messages[1].message_id
    assert (store.load(second).owner, pipeline.get_result()) == ("ann", 3)
