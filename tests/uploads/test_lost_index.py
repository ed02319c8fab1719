"""A lost index: an upload continues with its signed ticket, and only with its own."""

import time

import httpx
import msgspec
import pytest

from resultstore.testing.promises import MIB
from resultstore.uploads.ticket import OPEN_FOR_S, TicketStore
from tests.uploads.conftest import once, send, send_parts
from tests.uploads.test_bytes_quota import OWNER, begun, counted, narrow  # noqa: F401 - a fixture

WAYS = [("POST", "/complete"), ("GET", ""), ("DELETE", "")]


def lose_the_index(place) -> None:
    """As FLUSHALL does, below the prefix of this test."""
    index = place.store.index
    for key in index.client.scan_iter(f"{index._names.prefix}*"):
        index.client.delete(key)


def asked(place, method: str, ticket: dict, path: str = "", **headers: str) -> httpx.Response:
    body = {"json": {}} if method == "POST" else {}
    return place.gateway.request(method, f"/v1/uploads/{ticket['id']}{path}", headers=headers, **body)


def test_an_upload_is_completed_although_redis_was_lost(place, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo).raise_for_status()
    lose_the_index(place)

    lost = place.complete(ticket)
    found = asked(place, "POST", ticket, "/complete", **{"Upload-Ticket": ticket["ticket"]})

    assert (lost.status_code, found.status_code) == (404, 202)
    assert place.waiting() == 1
    assert place.store.load(ticket["id"]).owner == OWNER
    assert counted(place) == len(photo)


def test_parts_resume_after_redis_loss(place):
    body = (b"a,b\n" + b"1,2\n" * (5 * MIB))[: 17 * MIB]
    ticket = place.ticket(name="t.csv", media_type="text/csv", task="tables.convert", size_bytes=len(body))
    send_parts(ticket, body, {1, 3})
    lose_the_index(place)

    rest = asked(place, "GET", ticket, **{"Upload-Ticket": ticket["ticket"]}).json()
    send_parts(rest, body)

    assert [one["number"] for one in rest["received"]] == [1, 3]
    assert place.complete(ticket).status_code == 202
    assert place.waiting() == 1


@once
def test_a_restored_ticket_is_within_the_quota(narrow, photo):  # noqa: F811 - pytest's way to name a fixture
    tickets = [begun(narrow, photo) for _ in range(2)]
    lose_the_index(narrow)
    others = [begun(narrow, photo) for _ in range(2)]
    assert all(others)

    refused = asked(narrow, "GET", tickets[0], **{"Upload-Ticket": tickets[0]["ticket"]})

    assert (refused.status_code, refused.json()["slug"]) == (429, "quota")


@once
@pytest.mark.parametrize(("method", "path"), WAYS)
def test_what_was_not_signed_for_it_restores_nothing(place, photo, method, path):
    mine, other = (place.ticket(size_bytes=len(photo)) for _ in range(2))
    tickets = TicketStore(place.store)
    foreign = tickets.sign(msgspec.structs.replace(tickets.find(mine["id"]), owner="bob"))
    old = tickets.sign(msgspec.structs.replace(tickets.find(mine["id"]), created_at=time.time() - OPEN_FOR_S))
    lose_the_index(place)

    for signed in (other["ticket"], mine["ticket"][:-4], "A" * 400, "no base64!", foreign, old):
        refused = asked(place, method, mine, path, **{"Upload-Ticket": signed})
        assert (refused.status_code, refused.json()["slug"]) == (404, "result-missing"), signed[:20]
    assert list(place.store.ids(owner=OWNER)) == []


@once
def test_a_ticket_whose_upload_was_deleted_restores_nothing(place, photo):
    ticket = place.ticket(size_bytes=len(photo))
    asked(place, "DELETE", ticket).raise_for_status()

    assert asked(place, "GET", ticket, **{"Upload-Ticket": ticket["ticket"]}).status_code == 404


@once
def test_ended_upload_is_not_restarted(place, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo).raise_for_status()
    place.complete(ticket).raise_for_status()
    place.store.index.keys.drop(f"rs:{{{ticket['id']}}}:upload")

    again = asked(place, "POST", ticket, "/complete", **{"Upload-Ticket": ticket["ticket"]})

    assert (again.status_code, again.json()["state"]) == (202, "PENDING")
    assert place.waiting() == 1
