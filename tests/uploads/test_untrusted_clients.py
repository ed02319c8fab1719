"""Untrusted clients: another owner's upload, a forged ticket and a torn file have no effect."""

import msgspec

from resultstore.model import layout
from resultstore.uploads.issuing import TicketIssuer
from resultstore.uploads.ticket import Ticket, TicketStore, UploadSpec
from resultstore_tasks.offers import offers
from tests.uploads.conftest import once, send


@once
def test_other_owners_upload_answers_as_missing(place, photo):
    issuer = TicketIssuer(place.store, offers=offers)
    asked = UploadSpec(name="a.jpg", size_bytes=len(photo), media_type="image/jpeg", task="images.resize", options={})
    ticket, _ = issuer.begin(issuer.validate(asked), owner="ann")
    place.store.blobs.put(ticket.key, [photo], media_type="image/jpeg")

    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/complete")):
        foreign = place.gateway.request(method, f"/v1/uploads/{ticket.id}{path}")
        unknown = place.gateway.request(method, f"/v1/uploads/{'0' * 36}{path}")
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.text.replace(ticket.id, "") == unknown.text.replace("0" * 36, "")
    assert place.waiting() == 0
    assert place.store.blobs.stat(ticket.key).size_bytes == len(photo)


@once
def test_forged_ticket_in_redis_names_no_bytes(place, photo):
    # given a client who points its ticket at another client's bytes
    theirs, mine = place.ticket(size_bytes=len(photo)), place.ticket(size_bytes=len(photo))
    send(theirs, photo)
    tickets = TicketStore(place.store)
    forged = msgspec.structs.replace(tickets.find(mine["id"]), key=tickets.find(theirs["id"]).key)
    for mac in (b"-" * 32, b"0" * 32, place.store.index.keys.read(layout.ticket_key(mine["id"]))[:32]):
        document = msgspec.msgpack.encode(forged)
        place.store.index.keys.keep(layout.ticket_key(mine["id"]), mac + document, ttl_s=60)

        refused = place.complete(mine)

        assert refused.status_code == 404
    assert msgspec.msgpack.decode(document, type=Ticket) == forged, "it would have been read"
    assert place.waiting() == 0


def test_torn_file_is_refused_and_resent(place, photo):
    # given a store that kept half of what a sender who went away had sent
    ticket = place.ticket(size_bytes=len(photo))
    key = TicketStore(place.store).find(ticket["id"]).key
    place.store.blobs.put(key, [photo[:1000]], media_type="image/jpeg")

    torn = place.complete(ticket)
    again = send(ticket, photo)

    assert (torn.status_code, torn.json()["slug"]) == (409, "upload-incomplete")
    assert "1000 of the" in torn.json()["detail"]
    assert again.status_code == 200
    assert place.complete(ticket).json()["state"] == "PENDING"
    assert place.waiting() == 1


@once
def test_idempotency_key_returns_the_same_ticket(place, photo):
    asked = {"name": "a.jpg", "media_type": "image/jpeg", "size_bytes": len(photo), "task": "images.resize"}
    headers = {"Idempotency-Key": "one"}

    first, second = (place.gateway.post("/v1/uploads", json=asked, headers=headers) for _ in range(2))
    other = place.gateway.post("/v1/uploads", json={**asked, "name": "b.jpg"}, headers=headers)

    assert (first.status_code, second.status_code, other.status_code) == (201, 201, 422)
    assert first.json()["id"] == second.json()["id"]
    assert send(second.json(), photo).status_code == 200


@once
def test_forbidden_webhook_gets_no_ticket(place, photo):
    asked = {"name": "a.jpg", "media_type": "image/jpeg", "size_bytes": len(photo), "task": "images.resize"}
    refused = place.gateway.post("/v1/uploads", json={**asked, "webhook_url": "http://169.254.169.254/latest"})

    assert (refused.status_code, refused.json()["slug"]) == (422, "address-refused")
    assert list(place.store.ids(owner="local")) == []
