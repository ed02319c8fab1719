"""Webhooks over HTTP: a named address is notified; an invalid one starts no work."""

import uuid

import httpx
import pytest
from pydantic import BaseModel

from resultstore.dispatch.offers import Offer
from resultstore.dispatch.orders import Order, announce
from resultstore.gateway.app import create_app
from resultstore.model.errors import BrokerUnavailable
from resultstore.model.result import Result, State
from tests.gateway.conftest import _bound, _url, running as serving
from tests.gateway.test_own_server import plainly_served
from tests.webhooks.conftest import Gateway, running, soon


class Nothing(BaseModel):
    """A task without arguments."""


class Immediate:
    """A dispatcher whose work ends at once; while it is `away`, dispatching fails."""

    def __init__(self, store) -> None:
        self.store = store
        self.sent: list[Order] = []
        self.away = False

    def send(self, order: Order) -> None:
        if self.away:
            raise BrokerUnavailable("away")
        announce(self.store, order)
        self.sent.append(order)
        self.store.save(Result(id=order.id, task=order.task, owner=order.owner, state=State.SUCCESS))

    def cancel(self, result_id: str) -> None:
        """Do nothing."""


@pytest.fixture
def served(made):
    """A gateway that sends webhooks, its dispatcher, and a client of it."""
    gateway: Gateway = made()
    dispatcher = Immediate(gateway.store)
    offer = Offer(task="examples.nothing", title="Nothing", arguments=Nothing)
    app = create_app(gateway.store, dispatcher=dispatcher, offers={offer.task: offer})
    gateway.webhooks = app.state.webhooks
    at = _bound()
    with running(gateway), serving((app, at)), httpx.Client(base_url=_url(at)) as client:
        yield gateway, dispatcher, client


def start(client, **body):
    return client.post("/v1/tasks/examples.nothing", json={"arguments": {}, **body})


def test_a_tasks_address_is_notified_of_its_end(served, receiver):
    _, _, client = served
    answer = start(client, webhook_url=receiver.url)
    assert answer.status_code == 202, answer.text
    soon(lambda: receiver.got)
    assert answer.json()["id"] in receiver.got[0][2].decode()


@pytest.mark.parametrize("lifespan", ["on", "off"])
def test_an_app_alone_sends_webhooks(made, receiver, lifespan):
    # given an application under a server that knows nothing of it
    store = made().store
    offer = Offer(task="examples.nothing", title="Nothing", arguments=Nothing)
    app = create_app(store, dispatcher=Immediate(store), offers={offer.task: offer})
    with plainly_served(app, lifespan=lifespan) as url, httpx.Client(base_url=url) as client:
        assert start(client, webhook_url=receiver.url).status_code == 202
        soon(lambda: receiver.got)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/",
        "file:///etc/passwd",
        "http://[::1]:22/",
        "http://xn--:{port}/",
        "http://a..b:{port}/",
        "http://{long}.com:{port}/",
    ],
)
def test_a_refused_address_starts_no_task(served, receiver, url):
    _, dispatcher, client = served
    answer = start(client, webhook_url=url.format(port=receiver.server_port, long="a" * 64))
    assert (answer.status_code, answer.json()["slug"]) == (422, "address-refused")
    assert dispatcher.sent == []


def test_undispatched_work_leaves_no_webhook(served, receiver):
    gateway, dispatcher, client = served
    dispatcher.away = True
    assert start(client, webhook_url=receiver.url).status_code == 503
    assert gateway.store.index.client.keys(f"{gateway.store.index._names.prefix}rs:{{webhooks}}*") == []


def test_an_idempotency_key_notifies_once(served, receiver):
    _, dispatcher, client = served
    client.headers["Idempotency-Key"] = uuid.uuid4().hex
    first, second = (start(client, webhook_url=receiver.url).json()["id"] for _ in range(2))
    assert first == second
    soon(lambda: receiver.got)
    assert (len(dispatcher.sent), len(receiver.got)) == (1, 1)


def test_openapi_describes_the_webhook(served):
    told = served[2].get("/v1/openapi.json").json()
    assert "result-ended" in told["webhooks"]
    assert told["components"]["schemas"]["EndingView"]["properties"].keys() == {"type", "timestamp", "data"}
