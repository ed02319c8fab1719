"""Forms: a page without scripts sends a file by POST, held to what its ticket says by the store itself."""

import base64
import hashlib

import httpx
import pytest

from tests.uploads.conftest import once

in_a_bucket = pytest.mark.parametrize("blobs_url", ["s3"], indirect=True)


def posted(ticket: dict, body: bytes, **changed: str) -> httpx.Response:
    return httpx.post(ticket["url"], data={**ticket["fields"], **changed}, files={"file": ("any", body)}, timeout=30)


@in_a_bucket
def test_a_form_brings_a_photo_and_its_task_is_started(place, photo):
    digest = hashlib.sha256(photo).hexdigest()
    ticket = place.ticket(size_bytes=len(photo), method="POST", sha256=digest)

    assert (ticket["method"], ticket["headers"], ticket["parts"]) == ("POST", {}, None)
    assert place.gateway.get(f"/v1/uploads/{ticket['id']}").json()["fields"]["key"] == ticket["fields"]["key"]
    assert posted(ticket, photo).status_code == 204
    assert place.complete(ticket).status_code == 202
    assert place.waiting() == 1
    assert place.store.load(ticket["id"]).artifact("input").sha256 in {"", digest}


@in_a_bucket
def test_minio_refuses_what_is_not_as_the_form_says(place, photo):
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
