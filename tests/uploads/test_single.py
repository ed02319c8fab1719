"""Uploads by one PUT: a ticket accepts exactly the declared file, and starts one task."""

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.uploads.conftest import once, send


def test_single_put_starts_its_task(place, photo):
    ticket = place.ticket(size_bytes=len(photo), options={"widths": [100]})
    put = send(ticket, photo)
    done = place.complete(ticket)

    assert (ticket["state"], ticket["method"], ticket["parts"]) == ("UPLOADING", "PUT", None)
    assert put.status_code == 200
    assert done.status_code == 202
    assert (done.json()["id"], done.json()["state"], done.json()["task"]) == (ticket["id"], "PENDING", "images.resize")
    assert place.waiting() == 1
    source = place.store.load(ticket["id"]).artifact("input")
    assert b"".join(place.store.blobs.get(source.key)) == photo
    assert source.etag == place.store.blobs.stat(source.key).etag


def test_completing_twice_starts_one_task(place, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo)

    answers = [place.complete(ticket) for _ in range(3)]

    assert [one.status_code for one in answers] == [202, 202, 202]
    assert place.waiting() == 1


def test_completing_at_once_starts_one_task(place, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: place.complete(ticket).status_code, range(8)))

    assert set(answers) == {202}
    assert place.waiting() == 1


def test_missing_upload_cannot_be_completed_yet(place, photo):
    ticket = place.ticket(size_bytes=len(photo))

    early = place.complete(ticket)
    again = place.gateway.get(f"/v1/uploads/{ticket['id']}").json()
    send(again, photo)

    assert (early.status_code, early.json()["slug"]) == (409, "upload-incomplete")
    assert (again["id"], again["state"]) == (ticket["id"], "UPLOADING")
    assert place.complete(ticket).status_code == 202
    assert place.waiting() == 1


def test_url_takes_only_the_signed_bytes_once(place, photo):
    ticket = place.ticket(size_bytes=len(photo))
    longer = httpx.put(ticket["url"], content=photo + b"x", headers=ticket["headers"])
    typed = send(ticket, photo, **{"content-type": "text/html"})
    bare = httpx.put(ticket["url"], content=photo)
    elsewhere = httpx.put(ticket["url"].replace(ticket["id"], "0" * 36), content=photo, headers=ticket["headers"])
    read = httpx.get(ticket["url"])
    first, second = send(ticket, photo), send(ticket, photo[::-1])

    assert {one.status_code for one in (longer, typed, bare, elsewhere, read)} <= {400, 403}
    assert (first.status_code, second.status_code) == (200, 412)


def test_store_checks_the_senders_digest(place, photo):
    ticket = place.ticket(size_bytes=len(photo), sha256=hashlib.sha256(photo).hexdigest())
    swapped = send(ticket, photo[::-1])
    lying = send(ticket, photo[::-1], **{"x-amz-checksum-sha256": _digest(photo[::-1])})

    assert ticket["headers"]["x-amz-checksum-sha256"] == _digest(photo)
    assert (swapped.status_code, lying.status_code) == (400, 403)
    assert send(ticket, photo).status_code == 200


WRONG = [
    ({"task": "images.destroy"}, 404, "task-missing"),
    ({"task": "tasks.unknown" * 10}, 404, "task-missing"),
    ({"media_type": "text/html"}, 415, "wrong-type"),
    ({"media_type": "image/svg+xml"}, 415, "wrong-type"),
    ({"size_bytes": 0}, 422, "invalid-request"),
    ({"size_bytes": -1}, 413, "too-large"),
    ({"size_bytes": 300 * 1024 * 1024}, 413, "too-large"),
    ({"size_bytes": "12"}, 422, "invalid-request"),
    ({"options": {"widths": [0]}}, 422, "invalid-request"),
    ({"options": {"unknown": 1}}, 422, "invalid-request"),
    ({"sha256": "abc"}, 422, "invalid-request"),
    ({"key": "uploads/somebody"}, 422, "invalid-request"),
]


def test_what_no_offer_takes_gets_no_ticket(place):
    asked = {"name": "a.jpg", "media_type": "image/jpeg", "size_bytes": 10, "task": "images.resize", "options": {}}

    answers = [place.gateway.post("/v1/uploads", json={**asked, **wrong}) for wrong, _, _ in WRONG]

    said = [(one.status_code, one.json()["slug"]) for one in answers]
    assert said == [(status, slug) for _, status, slug in WRONG]
    assert list(place.store.ids(owner="local")) == []


def test_undeclared_bytes_are_refused_and_deleted(place):
    page = b"<!doctype html><script>alert(1)</script>".ljust(200)
    ticket = place.ticket(size_bytes=len(page))
    send(ticket, page)

    answers = [place.complete(ticket) for _ in range(2)]

    for one in answers:
        assert (one.status_code, one.json()["state"]) == (202, "FAILURE")
        assert one.json()["failure"]["type"] == "UploadRejected"
        assert "text/html" in one.json()["failure"]["message"]
    assert list(place.store.blobs.list("uploads/")) == []
    assert place.waiting() == 0


@once
def test_related_media_types_are_interchangeable(place):
    families = [
        ("video/mp4", b"3gp6", b"isom", "video.preview"),
        ("video/quicktime", b"isom", b"mp42", "video.preview"),
        ("video/3gpp", b"3gp4", b"isom", "video.preview"),
        ("image/avif", b"mif1", b"avif", "images.resize"),
    ]
    for media_type, major, other, task in families:
        body = (b"\0\0\0\x18ftyp" + major + bytes(4) + major + other).ljust(200, b"\0")
        ticket = place.ticket(name="a", media_type=media_type, task=task, size_bytes=len(body))
        send(ticket, body)

        assert place.complete(ticket).json()["state"] == "PENDING", media_type
    assert place.waiting() == len(families)


def test_an_upload_that_is_given_up_leaves_nothing(place, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo)

    gone = place.gateway.delete(f"/v1/uploads/{ticket['id']}")

    assert gone.status_code == 204
    assert place.complete(ticket).status_code == 404
    assert place.gateway.get(f"/v1/uploads/{ticket['id']}").status_code == 404
    assert list(place.store.blobs.list("uploads/")) == []
    assert place.waiting() == 0


def test_started_upload_cannot_be_abandoned(place, photo):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo)
    place.complete(ticket)

    refused = place.gateway.delete(f"/v1/uploads/{ticket['id']}")

    assert (refused.status_code, refused.json()["slug"]) == (409, "upload-over")
    assert len(list(place.store.blobs.list("uploads/"))) == 1


def _digest(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()
