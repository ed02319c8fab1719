"""Default addresses: webhooks of work whose client named none, as uploads from the page and retries."""

import uuid

import httpx
import msgspec
import pytest

from resultstore.blobs.local.driver import LocalBlobs
from resultstore.blobs.local.signer import LocalSigner
from resultstore.gateway.app import create_app
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.errors import Misconfigured
from resultstore.model.result import Result, State
from resultstore.settings import Settings
from resultstore.store import Store
from tests.gateway.conftest import OFFERS, Orders
from tests.gateway.test_own_server import plainly_served
from tests.webhooks.conftest import SECRET, Receiver, soon

GREET = {"arguments": {"name": "ann"}}
PICTURE = {"name": "a.png", "size_bytes": 5, "media_type": "image/png", "task": "shrink"}
PARAMS = {"filename": "a.png", "type": "image/png", "metadata[task]": "shrink", "metadata[size_bytes]": "5"}


def app_of(redis_url: str, tmp_path, receiver: Receiver, *, of_offer: str = "", **settings: str):
    """An application on Redis and a folder; its dispatcher only records orders."""
    orders = Orders()
    chosen = {"webhook_secret": SECRET, "outgoing_ports": str(receiver.server_port), "outgoing_private": "127.0.0.0/8"}
    orders.store = Store(
        index=RedisIndex(redis_url, prefix=f"{uuid.uuid4().hex}:"),
        blobs=LocalBlobs(tmp_path / "blobs"),
        signer=LocalSigner(b"a secret of the tests, 32 bytes.", "http://127.0.0.1:1"),
        settings=Settings(secret_key="k" * 32, **(chosen | settings)),
    )
    offers = {name: msgspec.structs.replace(one, webhook_url=of_offer) for name, one in OFFERS.items()}
    return create_app(orders.store, dispatcher=orders, offers=offers), orders


def ended(orders: Orders, result_id: str) -> None:
    found = orders.store.load(result_id)
    orders.store.save(Result(id=result_id, task=found.task, owner="local", state=State.SUCCESS))


def begun(client: httpx.Client, way: str) -> str:
    """Start work without an address, and return its id."""
    if way == "task":
        return client.post("/v1/tasks/greet", json=GREET).json()["id"]
    if way == "uppy":
        return client.get("/s3/params", params=PARAMS, headers={"Accept": "application/json"}).json()["fields"]["key"]
    return client.post("/v1/uploads", json=PICTURE).json()["id"]


@pytest.mark.parametrize("way", ["task", "upload", "uppy"])
@pytest.mark.parametrize("where", ["setting", "offer"])
def test_the_configured_address_is_notified(redis_url, tmp_path, receiver, way, where):
    configured = {"webhook_url": receiver.url} if where == "setting" else {"of_offer": receiver.url}
    app, orders = app_of(redis_url, tmp_path, receiver, **configured)
    with plainly_served(app) as url, httpx.Client(base_url=url) as client:
        result_id = begun(client, way)
        ended(orders, result_id)
        soon(lambda: receiver.got)

    assert result_id in receiver.got[0][2].decode()


def test_an_offers_address_overrides_the_setting(redis_url, tmp_path, receiver):
    configured = {"webhook_url": receiver.url + "/setting", "of_offer": receiver.url + "/offer"}
    app, orders = app_of(redis_url, tmp_path, receiver, **configured)
    with plainly_served(app) as url, httpx.Client(base_url=url) as client:
        for given in ({}, {"webhook_url": receiver.url + "/client"}):
            ended(orders, client.post("/v1/tasks/greet", json=GREET | given).json()["id"])
        soon(lambda: len(receiver.got) == 2)

    assert {path for path, _, _ in receiver.got} == {"/hook/offer", "/hook/client"}


def test_a_retry_is_notified_too(redis_url, tmp_path, receiver):
    app, orders = app_of(redis_url, tmp_path, receiver, webhook_url=receiver.url)
    with plainly_served(app) as url, httpx.Client(base_url=url) as client:
        first = begun(client, "task")
        ended(orders, first)
        second = client.post(f"/v1/results/{first}/retry", json={}).json()["id"]
        ended(orders, second)
        soon(lambda: len(receiver.got) == 2)

    assert {one for one in (first, second) for _, _, body in receiver.got if one in body.decode()} == {first, second}


@pytest.mark.parametrize(
    "wrong", [{"webhook_url": "http://a..b/"}, {"of_offer": "ftp://x/"}, {"webhook_url": "http://10.0.0.1/"}]
)
def test_a_configured_address_is_checked_at_startup(redis_url, tmp_path, receiver, wrong):
    with pytest.raises(Misconfigured, match="WEBHOOK_URL"):
        app_of(redis_url, tmp_path, receiver, **wrong)


def test_a_configured_address_needs_the_secret(redis_url, tmp_path, receiver):
    with pytest.raises(Misconfigured, match="WEBHOOK_SECRET"):
        app_of(redis_url, tmp_path, receiver, webhook_url=receiver.url, webhook_secret="")
