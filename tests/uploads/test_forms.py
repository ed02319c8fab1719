"""Forms: a page without scripts sends a file by POST, held to what its ticket says by the store itself."""

import base64
import dataclasses
import hashlib

import httpx
import pytest

from resultstore.backends.celery.dispatching import CeleryDispatcher
from resultstore.model.errors import BrokerUnavailable
from resultstore.store.attempt import Attempt
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.ticket import TicketStore
from resultstore_tasks.app import make_app
from tests.uploads.conftest import once
from tests.uploads.test_bytes_quota import counted, stored, urls_end

in_a_bucket = pytest.mark.parametrize("blobs_url", ["s3"], indirect=True)


def posted(ticket: dict, body: bytes, **changed: str) -> httpx.Response:
    return httpx.post(ticket["url"], data={**ticket["fields"], **changed}, files={"file": ("any", body)}, timeout=30)


@in_a_bucket
def test_form_upload_starts_its_task(place, photo):
    digest = hashlib.sha256(photo).hexdigest()
    ticket = place.ticket(size_bytes=len(photo), method="POST", sha256=digest)

    assert (ticket["method"], ticket["headers"], ticket["parts"]) == ("POST", {}, None)
    assert place.gateway.get(f"/v1/uploads/{ticket['id']}").json()["fields"]["key"] == ticket["fields"]["key"]
    assert posted(ticket, photo).status_code == 204
    assert place.complete(ticket).status_code == 202
    assert place.waiting() == 1
    assert place.store.load(ticket["id"]).artifact("input").sha256 in {"", digest}


@in_a_bucket
def test_minio_enforces_the_form(place, photo):
    wrong = base64.b64encode(b"0" * 32).decode()
    ticket = place.ticket(size_bytes=len(photo), method="POST", sha256=hashlib.sha256(photo).hexdigest())

    unhashed = place.ticket(size_bytes=len(photo), method="POST")
    refused = [
        posted(unhashed, photo + b"1"),
        posted(unhashed, photo[:-1]),
        posted(ticket, photo[:-1] + b"1"),
        posted(ticket, photo, **{"Content-Type": "text/html"}),
        posted(ticket, photo, key=ticket["fields"]["key"] + "x"),
        posted(ticket, photo, **{"x-amz-checksum-sha256": wrong}),
        posted(ticket, photo, **{"x-amz-signature": "0" * 64}),
    ]

    assert all(400 <= one.status_code < 500 for one in refused), [one.status_code for one in refused]
    assert place.complete(ticket).status_code == 409


@in_a_bucket
def test_a_form_is_for_small_files(place):
    large = {"name": "t.csv", "media_type": "text/csv", "task": "tables.convert", "size_bytes": 17 << 20}

    answer = place.gateway.post("/v1/uploads", json={**large, "method": "POST"})

    assert (answer.status_code, answer.json()["slug"]) == (413, "too-large")


@once
def test_a_folder_takes_no_forms(place, photo):
    asked = {"name": "a.jpg", "media_type": "image/jpeg", "task": "images.resize", "size_bytes": len(photo)}

    answer = place.gateway.post("/v1/uploads", json={**asked, "method": "POST"})

    assert answer.status_code == 422
    assert "PUT" in answer.json()["detail"]


def another(photo: bytes) -> bytes:
    """A file of the same length and type."""
    return photo[:-3] + bytes(reversed(photo[-3:]))


@in_a_bucket
def test_a_form_sent_again_changes_no_sealed_file(place, photo):
    ticket = place.ticket(size_bytes=len(photo), method="POST")
    posted(ticket, photo).raise_for_status()
    place.complete(ticket).raise_for_status()
    source = place.store.load(ticket["id"]).artifact("input")

    before = posted(ticket, another(photo)).status_code
    attempt = Attempt(ticket["id"], owner="local")
    place.store.adopt(source, attempt)
    place.store.save(place.store.seal(attempt))
    after = posted(ticket, another(photo)).status_code

    assert (before, after) == (204, 204)
    assert place.store.open(place.store.load(ticket["id"]).artifact("input")).read() == photo
    assert httpx.get(place.store.url(source)).content == photo


@in_a_bucket
def test_what_a_form_still_brings_counts_and_goes(place, photo):
    ticket = place.ticket(size_bytes=len(photo), method="POST")
    posted(ticket, photo).raise_for_status()
    place.complete(ticket).raise_for_status()
    key = place.store.load(ticket["id"]).artifact("input").key
    assert [one.key for one in place.store.blobs.list("uploads/")] == [key]
    posted(ticket, another(photo)).raise_for_status()
    assert counted(place) == stored(place) == 2 * len(photo)

    urls_end(place)

    assert [one.key for one in place.store.blobs.list("uploads/")] == [key]
    assert counted(place) == len(photo)


@in_a_bucket
def test_a_refused_form_leaves_nothing(place):
    page = b"<!doctype html><script>alert(1)</script>".ljust(1000)
    ticket = place.ticket(size_bytes=len(page), method="POST")
    posted(ticket, page).raise_for_status()

    place.complete(ticket).raise_for_status()

    assert place.gateway.get(f"/v1/results/{ticket['id']}").json()["failure"]["type"] == "UploadRejected"
    assert list(place.store.blobs.list("uploads/")) == []
    posted(ticket, page).raise_for_status()
    urls_end(place)
    assert list(place.store.blobs.list("uploads/")) == []
    assert counted(place) == 0


@in_a_bucket
def test_form_changed_during_completion_is_not_adopted(place, photo, monkeypatch):
    # given another file that arrives between the look at the first one and its copy
    ticket = place.ticket(size_bytes=len(photo), method="POST")
    posted(ticket, photo).raise_for_status()
    whole = place.store.blobs.copy

    def copy(key, to, *, etag):
        posted(ticket, another(photo)).raise_for_status()
        return whole(key, to, etag=etag)

    with monkeypatch.context() as patch:
        patch.setattr(place.store.blobs, "copy", copy)
        refused = place.complete(ticket)

    assert (refused.status_code, refused.json()["slug"]) == (409, "upload-incomplete")
    assert place.complete(ticket).status_code == 202
    assert place.store.open(place.store.load(ticket["id"]).artifact("input")).read() == another(photo)


@in_a_bucket
def test_a_broker_that_was_away_changes_no_form(place, settings, photo):
    ticket = place.ticket(size_bytes=len(photo), method="POST")
    posted(ticket, photo).raise_for_status()
    away = make_app(dataclasses.replace(settings, broker_url="amqp://guest:guest@127.0.0.1:1//"))
    kept = TicketStore(place.store).find(ticket["id"])
    with pytest.raises(BrokerUnavailable):
        UploadCompleter(place.store, dispatcher=CeleryDispatcher(away)).complete(kept)
    posted(ticket, another(photo)).raise_for_status()

    place.complete(ticket).raise_for_status()

    assert place.waiting() == 1
    assert place.store.open(place.store.load(ticket["id"]).artifact("input")).read() == photo
