"""Extra headers: unsigned additions of a client to an upload are found when the upload is verified."""

import base64
import hashlib
import time

import boto3
import httpx
import pytest

from tests.uploads.conftest import Place, send, send_parts
from tests.uploads.test_forms import posted

pytestmark = pytest.mark.parametrize("blobs_url", ["s3"], indirect=True)

TAKEN = {
    "x-amz-tagging": "rs-class=1d",
    "x-amz-storage-class": "REDUCED_REDUNDANCY",
    "content-encoding": "gzip",
    "x-minio-meta-owner": "somebody",
}
REFUSED = {"x-amz-meta-owner": "somebody", "x-amz-object-lock-legal-hold": "ON", "x-amz-copy-source": "/b/k"}
MIB = 1 << 20


def failure_of(place: Place, ticket: dict) -> str:
    place.complete(ticket)
    until = time.monotonic() + 60
    while not (told := place.gateway.get(f"/v1/results/{ticket['id']}").json())["failure"]:
        assert time.monotonic() < until, told["state"]
        place.complete(ticket)  # another completion may still be running
        time.sleep(0.1)
    assert (told["state"], told["failure"]["type"]) == ("FAILURE", "UploadRejected")
    return told["failure"]["message"]


@pytest.mark.parametrize("name", TAKEN)
def test_an_upload_with_an_unsigned_header_is_rejected(place, photo, name):
    ticket = place.ticket(size_bytes=len(photo))
    taken = send(ticket, photo, **{name: TAKEN[name]})

    message = failure_of(place, ticket)

    assert taken.status_code == 200, "the store has taken it: another way to refuse it is needed no more"
    assert name.replace("x-amz-tagging", "x-amz-tagging-count") in message
    assert list(place.store.blobs.list("uploads/")) == []
    assert place.waiting() == 0


def post_with_headers(ticket: dict, body: bytes, **headers: str) -> int:
    files = {"file": ("any", body)}
    return httpx.post(ticket["url"], data=ticket["fields"], files=files, headers=headers, timeout=30).status_code


@pytest.mark.parametrize("name", TAKEN)
def test_headers_of_a_form_do_not_stay(place, photo, name):
    ticket = place.ticket(size_bytes=len(photo), method="POST")

    assert post_with_headers(ticket, photo, **{name: TAKEN[name]}) == 204
    assert place.complete(ticket).status_code == 202
    assert place.waiting() == 1


DATED = {"x-minio-source-mtime": "2047-01-01T00:00:00Z"}


def test_a_date_that_a_sender_chose_is_rejected(place, photo):
    ticket = place.ticket(size_bytes=len(photo))

    assert send(ticket, photo, **DATED).status_code == 200
    assert "date" in failure_of(place, ticket)
    assert list(place.store.blobs.list("uploads/")) == []


def test_date_of_a_form_is_removed(place, photo):
    ticket = place.ticket(size_bytes=len(photo), method="POST")

    assert post_with_headers(ticket, photo, **DATED) == 204
    assert place.complete(ticket).status_code == 202
    [kept] = place.store.blobs.list("uploads/")
    assert kept.modified_at < time.time() + 3_600


@pytest.mark.parametrize("name", [*TAKEN, "x-amz-checksum-crc32"])
def test_a_form_takes_no_unlisted_field(place, photo, name):
    ticket = place.ticket(size_bytes=len(photo), method="POST")

    assert posted(ticket, photo, **{name: TAKEN.get(name, "AAAAAA==")}).status_code in {400, 403}
    assert place.complete(ticket).status_code == 409


@pytest.mark.parametrize("name", REFUSED)
def test_the_store_refuses_these_headers_itself(place, photo, name):
    ticket = place.ticket(size_bytes=len(photo))

    assert send(ticket, photo, **{name: REFUSED[name]}).status_code in {400, 403, 404, 412}
    assert place.complete(ticket).status_code == 409


def test_headers_of_parts_do_not_stay(place):
    table = b"a,b\n" + b"1,2\n" * (17 * MIB // 4)
    ticket = place.ticket(name="t.csv", media_type="text/csv", task="tables.convert", size_bytes=len(table))
    for one in ticket["parts"]["urls"]:
        one["headers"] |= TAKEN
    send_parts(ticket, table)

    assert place.complete(ticket).status_code == 202
    assert place.waiting() == 1


@pytest.mark.parametrize("caching", ["no-cache", "public, max-age=99999999"])
def test_caching_that_a_sender_chose_is_set_anew(place, photo, caching):
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo, **{"cache-control": caching})

    assert place.complete(ticket).status_code == 202
    source = place.store.load(ticket["id"]).artifact("input")
    for life_s in (60, 900):
        said = httpx.get(place.store.link(source, expires_in_s=life_s).url).headers["cache-control"]
        assert said in {"private, no-store", "private, max-age=300"}


def test_default_headers_are_no_extra(place, photo, s3_server):
    # given a marker that carries what this store gives to all that is written
    client = boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        region_name="us-east-1",
    )
    bucket = place.store.settings.blobs.url.split("/")[2]
    client.put_object(Bucket=bucket, Key="root/layout.json", Body=b"{}", StorageClass="REDUCED_REDUNDANCY")
    ticket = place.ticket(size_bytes=len(photo))
    send(ticket, photo, **{"x-amz-storage-class": "REDUCED_REDUNDANCY"})

    assert place.complete(ticket).status_code == 202


def test_chosen_entity_tag_never_replaces_the_digest(place, photo):
    digest = hashlib.sha256(photo).hexdigest()
    ticket = place.ticket(size_bytes=len(photo), sha256=digest)
    wrong = send(ticket, photo[:-1] + b"x", **{"x-minio-source-etag": hashlib.md5(photo).hexdigest()})
    right = send(ticket, photo)

    assert (wrong.status_code, right.status_code) == (400, 200)
    assert ticket["headers"]["x-amz-checksum-sha256"] == base64.b64encode(bytes.fromhex(digest)).decode()
