"""An unreadable record does not affect the owner's other Results."""

import pytest

from resultstore.model.result import Result, State
from tests.contract.test_index_unreadable import SPOILED, spoil

ASKED = {"name": "a.png", "size_bytes": 9, "media_type": "image/png", "task": "shrink", "options": {}}


@pytest.fixture(params=SPOILED)
def scene(served, request):
    """Store two Results with unreadable records, a sealed and a running one, among others."""
    served.store.save(Result(id="well", owner="local", state=State.STARTED, created_at=3.0))
    served.store.save(Result(id="runs", owner="local", state=State.STARTED, created_at=2.0))
    served.store.put(b"content", id="sealed", name="a.txt")
    for one in ("runs", "sealed"):
        spoil(served.store.index, one, SPOILED[request.param])
    return served


def test_unreadable_record_makes_listing_incomplete(scene):
    told = scene.gateway.get("/v1/results")

    assert told.status_code == 200
    assert "well" in [one["id"] for one in told.json()["items"]]
    assert told.json()["complete"] is False


def test_a_sealed_one_is_shown_from_its_seal(scene):
    told = scene.gateway.get("/v1/results/sealed")

    assert (told.status_code, told.json()["state"]) == (200, "SUCCESS")


def test_a_ticket_is_given_out(scene):
    assert scene.gateway.post("/v1/uploads", json=ASKED).status_code == 201
    assert scene.gateway.post("/v1/tasks/greet", json={"arguments": {"name": "Ann"}}).status_code == 202


def test_a_stream_begins_with_the_others(scene):
    with scene.gateway.stream("GET", "/v1/events") as stream:
        assert stream.status_code == 200
        first = next(stream.iter_text())
    assert "event: snapshot" in first
    assert '"well"' in first
    assert '"complete":false' in first.replace(" ", "")
