"""A gateway offers only configured tasks that a worker has registered."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from resultstore.dispatch.registrations import Registrations
from resultstore.gateway.app import create_app
from resultstore.gateway.tasks import registered_offers
from resultstore.gateway.tasks.registered_offers import RegisteredOffers, configured_offers
from resultstore.index.memory.driver import MemoryIndex
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.errors import IndexUnavailable, Misconfigured
from resultstore.ops.embedded import free_port
from tests.gateway.conftest import OFFERS
from tests.gateway.test_own_server import plainly_served

SOON_S = 60.0
MODULE = """
from resultstore import Offer
mine = {"shop.report": Offer(task="shop.report", title="Report")}
listed = [Offer(task="shop.report", title="Report")]
wrong = ["shop.report"]
"""


@pytest.fixture(params=["memory", "redis"])
def index(request):
    if request.param == "memory":
        return MemoryIndex()
    return RedisIndex(request.getfixturevalue("redis_url"), prefix=f"{uuid.uuid4().hex}:")


def test_tasks_of_all_workers_of_a_queue_count(index):
    ours = Registrations(index, "ours")
    ours.note(["b", "a"])
    ours.note(["a", "b"])
    ours.note(["c"])
    Registrations(index, "another").note(["d"])

    known = Registrations(index, "ours") if isinstance(index, RedisIndex) else ours
    assert known.tasks() == {"a", "b", "c"}
    assert Registrations(index, "nobody's").tasks() == frozenset()


@pytest.fixture
def offering(monkeypatch):
    """Return offers without a cache, and their registrations."""
    monkeypatch.setattr(registered_offers, "FRESH_S", 0.0)
    monkeypatch.setattr(registered_offers, "MISSED_S", 0.0)
    registrations = Registrations(MemoryIndex(), "celery")
    return RegisteredOffers(OFFERS, registrations), registrations


def test_only_registered_tasks_are_offered(offering):
    offers, registrations = offering
    assert (list(offers), len(offers), "greet" in offers) == ([], 0, False)

    registrations.note(["greet", "unknown"])

    assert list(offers) == ["greet"]
    assert offers["greet"] is OFFERS["greet"]
    for missing in ("shrink", "unknown"):
        with pytest.raises(KeyError):
            offers[missing]


def test_offers_stay_during_index_outage(offering, monkeypatch):
    offers, registrations = offering
    registrations.note(["greet"])
    assert list(offers) == ["greet"]

    def away():
        raise IndexUnavailable("away")

    monkeypatch.setattr(registrations, "tasks", away)
    assert list(offers) == ["greet"]


def test_unregistered_task_is_not_started(served, orders, offering):
    # given a gateway over the same store, before any worker was there
    offers, registrations = offering
    app = create_app(served.store, dispatcher=orders, offers=offers)
    greet, picture = {"arguments": {"name": "ann"}}, {"name": "a", "size_bytes": 5, "media_type": "image/png"}
    with plainly_served(app) as url, httpx.Client(base_url=url) as client:
        before = [
            client.post("/v1/tasks/greet", json=greet),
            client.post("/v1/uploads", json=picture | {"task": "shrink"}),
        ]
        assert [(one.status_code, one.json()["slug"]) for one in before] == [(404, "task-missing")] * 2
        assert client.get("/v1/tasks").json()["offers"] == client.get("/v1/session").json()["offers"] == []
        assert client.get("/v1/results").json()["items"] == []

        registrations.note(["greet", "shrink"])

        after = [
            client.post("/v1/tasks/greet", json=greet),
            client.post("/v1/uploads", json=picture | {"task": "shrink"}),
        ]
        assert [one.status_code for one in after] == [202, 201]
        told = client.get("/v1/session").json()["offers"]
        assert [one["task"] for one in told] == ["greet", "shrink"]


@contextmanager
def stock(variables: dict[str, str], folder: Path) -> Iterator[httpx.Client]:
    """Start `resultstore gateway` with its default settings."""
    port = free_port()
    variables = variables | {"RESULTSTORE_GATEWAY_PORT": str(port), "RESULTSTORE_BYTES_PORT": str(free_port())}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "resultstore.cli", "gateway"],
            cwd=folder,
            env=os.environ | variables,
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SOON_S) as client:
            end = time.monotonic() + SOON_S
            while True:
                try:
                    client.get("/livez")
                    break
                except httpx.TransportError:
                    assert time.monotonic() < end, (folder / "log").read_text()
                    time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(SOON_S)


@pytest.fixture
def variables(redis_url, amqp_url, tmp_path) -> dict[str, str]:
    return {
        "RESULTSTORE_INDEX_URL": redis_url,
        "RESULTSTORE_INDEX_PREFIX": f"{uuid.uuid4().hex}:",
        "RESULTSTORE_BLOBS_URL": f"file://{tmp_path}/blobs",
        "RESULTSTORE_BROKER_URL": amqp_url,
        "RESULTSTORE_BROKER_QUEUE": f"queue-{uuid.uuid4().hex}",
        "RESULTSTORE_SECRET_KEY": "k" * 32,
    }


def test_the_stock_gateway_offers_nothing_of_its_own(variables, tmp_path):
    # given a user's app: its workers take other tasks from the queue
    index = RedisIndex(variables["RESULTSTORE_INDEX_URL"], prefix=variables["RESULTSTORE_INDEX_PREFIX"])
    registrations = Registrations(index, variables["RESULTSTORE_BROKER_QUEUE"])
    registrations.note(["shop.report"])
    with stock(variables, tmp_path) as client:
        assert client.get("/v1/tasks").json()["offers"] == []
        refused = client.post("/v1/tasks/examples.report", json={"arguments": {}})
        assert (refused.status_code, refused.json()["slug"]) == (404, "task-missing")

        registrations.note(["examples.report"])  # as a worker with the shipped tasks

        end = time.monotonic() + SOON_S
        while not client.get("/v1/tasks").json()["offers"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert [one["task"] for one in client.get("/v1/tasks").json()["offers"]] == ["examples.report"]


def test_the_stock_gateway_offers_what_is_configured(variables, tmp_path):
    (tmp_path / "shop_offers.py").write_text(MODULE)
    with stock(variables | {"RESULTSTORE_OFFERS": "shop_offers:mine"}, tmp_path) as client:
        assert [one["task"] for one in client.get("/v1/tasks").json()["offers"]] == ["shop.report"]


@pytest.fixture
def module(tmp_path, monkeypatch) -> str:
    """Write a module into the current folder."""
    name = f"offers_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


@pytest.mark.parametrize("name", ["mine", "listed"])
def test_offers_are_named_by_module_and_name(module, name):
    assert list(configured_offers(f"{module}:{name}")) == ["shop.report"]


@pytest.mark.parametrize("named", ["{}:none", "{}:wrong", "{}", "no_such_module:mine", ":mine", "..:x"])
def test_invalid_offers_setting_is_reported(module, named):
    with pytest.raises(Misconfigured, match="RESULTSTORE_OFFERS"):
        configured_offers(named.format(module))
