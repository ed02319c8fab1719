"""Health: each dependency with its time, and which of them a gateway cannot do without."""

import pytest

from resultstore.model.errors import BlobStoreUnavailable


def test_ready_tells_how_long_each_dependency_took(served):
    told = served.gateway.get("/readyz").json()

    assert told["ready"] is True
    assert set(told["dependencies"]) == {"index", "blobs", "broker"}
    assert all(one["ok"] and one["ms"] >= 0 for one in told["dependencies"].values())


def test_without_its_broker_a_gateway_goes_on_and_says_so(served, orders):
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
