"""Uploads in parts: paused, resumed, and completed by the server alone."""

import httpx
import pytest

from resultstore.testing.promises import MIB, pattern
from resultstore.uploads.ticket import TicketStore
from tests.uploads.conftest import send_parts

SIZE = 17 * MIB + 5


@pytest.fixture(scope="module")
def table() -> bytes:
    """A CSV of a little over 17 MiB."""
    return (b"a,b,c\n" + b"1,2,3\n" * (SIZE // 6 + 1))[:SIZE]


@pytest.fixture
def ticket(place) -> dict:
    return place.ticket(name="t.csv", media_type="text/csv", task="tables.convert", size_bytes=SIZE)


def test_large_file_comes_in_eight_mib_parts(place, ticket, table):
    send_parts(ticket, table)
    done = place.complete(ticket)

    assert (ticket["method"], ticket["url"]) == ("MULTIPART", None)
    parts = ticket["parts"]
    assert (parts["part_size_bytes"], parts["count"]) == (8 * MIB, 3)
    assert [(one["number"], one["size_bytes"]) for one in parts["urls"]] == [
        (1, 8 * MIB),
        (2, 8 * MIB),
        (3, MIB + 5),
    ]
    assert (done.status_code, done.json()["state"]) == (202, "PENDING")
    source = place.store.load(ticket["id"]).artifact("input")
    assert b"".join(place.store.blobs.get(source.key)) == table
    assert place.waiting() == 1


def test_paused_upload_resumes_with_missing_parts(place, ticket, table):
    send_parts(ticket, table, {1, 3})

    early = place.complete(ticket)
    resumed = place.gateway.get(f"/v1/uploads/{ticket['id']}").json()
    send_parts(resumed, table)

    assert (early.status_code, early.json()["slug"]) == (409, "upload-incomplete")
    assert "number 2" in early.json()["detail"]
    assert [one["number"] for one in resumed["received"]] == [1, 3]
    assert [one["number"] for one in resumed["parts"]["urls"]] == [2]
    assert [place.complete(ticket).status_code for _ in range(2)] == [202, 202]
    assert place.waiting() == 1


def test_a_part_has_exactly_the_signed_length(place, ticket, table):
    last = ticket["parts"]["urls"][2]

    longer = httpx.put(last["url"], content=pattern(MIB + 6), headers=last["headers"])
    shorter = httpx.put(last["url"], content=pattern(MIB + 4), headers=last["headers"])

    assert (longer.status_code, shorter.status_code) == (403, 403)


def test_lost_answer_to_a_join_is_recovered(place, ticket, table):
    # given a server that died after the store had joined the parts
    send_parts(ticket, table)
    blobs = place.store.blobs
    [kept] = _tickets(place)
    parts = blobs.parts(kept.key, upload_id=kept.upload_id)
    blobs.complete_parts(kept.key, upload_id=kept.upload_id, parts=parts)

    assert place.complete(ticket).json()["state"] == "PENDING"
    assert place.waiting() == 1


def test_giving_up_drops_the_parts(place, ticket, table):
    send_parts(ticket, table, {1})

    assert place.gateway.delete(f"/v1/uploads/{ticket['id']}").status_code == 204
    late = ticket["parts"]["urls"][1]
    body = table[8 * MIB : 16 * MIB]
    assert httpx.put(late["url"], content=body, headers=late["headers"]).status_code == 404


def _tickets(place):
    tickets = TicketStore(place.store)
    return [tickets.find(one) for one in tickets.open_ids()]
