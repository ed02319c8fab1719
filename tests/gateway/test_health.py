"""Health checks: the time of each dependency, and which of them readiness needs."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from resultstore.gateway import health
from resultstore.model.errors import BlobMissing, BlobStoreUnavailable, BlobUnreadable


def test_readiness_reports_time_of_each_dependency(served):
    told = served.gateway.get("/readyz").json()

    assert told["ready"] is True
    assert set(told["dependencies"]) == {"index", "blobs", "broker"}
    assert all(one["ok"] and one["ms"] >= 0 for one in told["dependencies"].values())


def test_gateway_stays_ready_without_broker(served, orders):
    orders.away = True

    answer = served.gateway.get("/readyz")

    assert (answer.status_code, answer.json()["ready"]) == (200, True)
    assert answer.json()["dependencies"]["broker"]["ok"] is False
    assert "rabbit.internal" not in answer.text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_without_its_object_store_it_is_not_ready(served, monkeypatch, method):
    def away(key):
        raise BlobStoreUnavailable("the store at minio.internal does not answer")

    monkeypatch.setattr(served.store.blobs, "stat", away)

    answer = served.gateway.request(method, "/readyz")

    assert answer.status_code == 503
    assert "minio.internal" not in answer.text


@pytest.mark.parametrize("error", [BlobUnreadable("encrypted with another's key"), BlobMissing("never set up")])
def test_replaced_layout_does_not_stop_a_gateway(served, monkeypatch, error):
    def replaced(key):
        raise error

    monkeypatch.setattr(served.store.blobs, "stat", replaced)

    assert served.gateway.get("/readyz").status_code == 200


def test_many_who_ask_at_once_cost_one_look(served, orders, monkeypatch):
    asked = []
    look = served.store.index.peek
    monkeypatch.setattr(served.store.index, "peek", lambda one: (asked.append(one), look(one))[1])
    monkeypatch.setattr(health, "FRESH_S", 3600.0)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: served.gateway.get("/readyz"), range(40)))

    assert {one.status_code for one in answers} == {200}
    assert asked == [health.PROBE_ID]


def test_what_was_found_is_soon_looked_at_again(served, orders, monkeypatch):
    monkeypatch.setattr(health, "FRESH_S", 0.05)
    assert served.gateway.get("/readyz").json()["dependencies"]["broker"]["ok"]

    orders.away = True

    end = time.monotonic() + 30
    while served.gateway.get("/readyz").json()["dependencies"]["broker"]["ok"]:
        assert time.monotonic() < end
