"""Ids: a message's id may be of any type of text."""

from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from resultstore import Settings, State, connect
from resultstore.backends.dramatiq import setup


@pytest.fixture
def broker() -> Iterator[StubBroker]:
    before, encoder = dramatiq.broker.global_broker, dramatiq.get_encoder()
    made = StubBroker()
    made.emit_after("process_boot")
    dramatiq.set_broker(made)
    yield made
    made.close()
    dramatiq.set_broker(before)
    dramatiq.set_encoder(encoder)


class Text(str):
    """A subclass of str with another `__str__`."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"<{self!r}>"


def test_odd_message_id_means_its_text(broker: StubBroker):
    store = connect(Settings(index_url="memory://", blobs_url="memory://"))
    setup(broker, store=store)
    actor = dramatiq.actor(lambda: 1, actor_name="odd", store_results=True)
    message = actor.message().copy(message_id=Text("7f3a"))

    broker.enqueue(message)

    assert store.load("7f3a").state == State.PENDING
    broker.get_results_backend().store_result(message, 7, 60_000)
    assert message.get_result() == broker.get_results_backend().get_result(message) == 7
