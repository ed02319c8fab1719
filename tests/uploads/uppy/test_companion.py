"""Companion's API, with the requests of @uppy/aws-s3 5: bound to owners, and safe to repeat."""

import json

import httpx
import pytest

from resultstore.model.errors import BlobStoreUnavailable, BrokerUnavailable
from resultstore.testing.promises import MIB
from resultstore.uploads.ticket import TicketStore
from tests.uploads.uppy.conftest import CHUNK, SIZE

META = {"name": "t.csv", "type": "text/csv", "relativePath": "", "task": "tables.convert", "size_bytes": str(SIZE)}


def begin(client: httpx.Client, **metadata: str) -> dict:
    """Begin an upload like AwsS3Multipart.createMultipartUpload: every metadata value is a string."""
    body = {"filename": "t.csv", "type": "text/csv", "metadata": META | metadata}
    answer = client.post("/s3/multipart", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def place_of(begun: dict) -> str:
    return f"/s3/multipart/{begun['uploadId']}"


def send_part(client: httpx.Client, begun: dict, table: bytes, number: int) -> httpx.Response:
    """Send a part like signPart and uploadPartBytes."""
    signed = client.get(f"{place_of(begun)}/{number}", params={"key": begun["key"]}).raise_for_status().json()
    part = table[(number - 1) * CHUNK : number * CHUNK]
    return httpx.request(signed["method"], signed["url"], content=part, headers=signed["headers"], timeout=30)


def complete(client: httpx.Client, begun: dict) -> httpx.Response:
    parts = [{"ETag": f'"{number}"', "PartNumber": number} for number in (1, 2)]
    return client.post(f"{place_of(begun)}/complete", params={"key": begun["key"]}, json={"parts": parts})


@pytest.fixture
def sent(scene, table) -> dict:
    """Begin an upload of Ann and send both parts."""
    begun = begin(scene.ann)
    for number in (1, 2):
        send_part(scene.ann, begun, table, number).raise_for_status()
    return begun


def test_multipart_file_becomes_input_of_its_task(scene, sent, table):
    done = complete(scene.ann, sent)

    assert done.json() == {"location": f"/v1/results/{sent['key']}", "key": sent["key"]}
    found = scene.place.store.load(sent["key"])
    assert (found.state, found.owner, found.task) == ("PENDING", "ann", "tables.convert")
    assert b"".join(scene.place.store.blobs.get(found.artifact("input").key)) == table
    assert scene.place.waiting() == 1


def test_options_in_metadata_are_checked_before_ticket(scene):
    begun = begin(scene.ann, options=json.dumps({"format": "parquet"}))
    wrong = [
        ({"options": '{"nonsense": 1}'}, 422, "nonsense"),
        ({"options": "{"}, 422, "JSON"),
        ({"options": '{"format": {"__type__": "resultstore.artifact/1"}}'}, 422, "__type__"),
        ({"size_bytes": ""}, 422, "size_bytes"),
        ({"task": "shop.secret"}, 404, "shop.secret"),
        ({"size_bytes": str(1 << 50)}, 413, "bytes"),
        ({"part_size_bytes": str(MIB)}, 413, "parts must have"),
    ]

    assert TicketStore(scene.place.store).find(begun["key"]).asked.options == {"format": "parquet"}
    for metadata, status, said in wrong:
        body = {"filename": "t.csv", "type": "text/csv", "metadata": META | metadata}
        refused = scene.ann.post("/s3/multipart", json=body)
        assert refused.status_code == status
        assert said in refused.json()["message"], "this is what Uppy shows"
    assert list(scene.place.store.ids(owner="ann")) == [begun["key"]]


def test_paused_upload_lists_uploaded_parts(scene, table):
    begun = begin(scene.ann)
    first = send_part(scene.ann, begun, table, 1)

    listed = scene.ann.get(place_of(begun), params={"key": begun["key"]}).json()
    early = complete(scene.ann, begun)

    assert listed == [{"PartNumber": 1, "Size": CHUNK, "ETag": first.headers["ETag"]}]
    assert (early.status_code, early.json()["slug"]) == (409, "upload-incomplete")
    assert scene.place.waiting() == 0


def test_batch_signs_only_existing_parts(scene, table):
    begun = begin(scene.ann)
    about = {"key": begun["key"]}

    batch = scene.ann.get(f"{place_of(begun)}/batch", params={**about, "partNumbers": "1,2"}).json()["presignedUrls"]
    too_many = scene.ann.get(f"{place_of(begun)}/batch", params={**about, "partNumbers": ",".join("1" * 101)})
    beyond = [scene.ann.get(f"{place_of(begun)}/{number}", params=about).status_code for number in ("0", "3", "-1")]

    assert sorted(batch) == ["1", "2"]
    assert all(url.startswith("http") for url in batch.values())
    assert too_many.status_code == 422
    assert beyond == [422, 422, 422]


def test_part_must_have_its_exact_length(scene, table):
    begun = begin(scene.ann)

    longer = send_part(scene.ann, begun, table + b"x" * CHUNK, 2)

    assert longer.status_code == 403


def test_completing_twice_starts_one_task(scene, sent):
    first, second = complete(scene.ann, sent), complete(scene.ann, sent)

    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert scene.place.waiting() == 1


def test_lost_store_response_after_commit_succeeds(scene, sent, monkeypatch):
    # given a store that joins the parts, and answers 503 once
    blobs, fails = scene.place.store.blobs, iter([True])
    joins = blobs.complete_parts

    def torn(*args, **kwargs):
        stored = joins(*args, **kwargs)
        if next(fails, False):
            raise BlobStoreUnavailable("503 Service Unavailable")
        return stored

    monkeypatch.setattr(blobs, "complete_parts", torn)
    done = complete(scene.ann, sent)

    assert next(fails, "no fault was shown") == "no fault was shown"
    assert (done.status_code, done.json()["key"]) == (200, sent["key"])
    assert scene.place.waiting() == 1


def test_broker_outage_does_not_fail_the_upload(scene, sent, reconciler, monkeypatch):
    def away(order):
        raise BrokerUnavailable("the broker does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(scene.place.dispatcher, "send", away)
        done = complete(scene.ann, sent)
    between = scene.place.waiting()

    assert (done.status_code, between) == (200, 0)
    assert reconciler.poll_untracked().completed == 1
    assert scene.place.waiting() == 1


def test_abort_after_lost_response_keeps_joined_upload(scene, sent, reconciler):
    # given parts that were joined by a call whose response was lost
    ticket = TicketStore(scene.place.store).find(sent["key"])
    blobs = scene.place.store.blobs
    blobs.complete_parts(
        ticket.key, upload_id=ticket.upload_id, parts=blobs.parts(ticket.key, upload_id=ticket.upload_id)
    )

    listed = scene.ann.get(place_of(sent), params={"key": sent["key"]}).json()
    given_up = scene.ann.delete(place_of(sent), params={"key": sent["key"]})

    assert [(one["PartNumber"], one["Size"]) for one in listed] == [(1, CHUNK), (2, SIZE - CHUNK)]
    assert (given_up.status_code, given_up.json()) == (200, {})
    assert reconciler.poll_untracked().completed == 1
    assert complete(scene.ann, sent).status_code == 200
    assert scene.place.waiting() == 1


def test_giving_up_drops_the_parts_and_the_result(scene, table):
    begun = begin(scene.ann)
    send_part(scene.ann, begun, table, 1)

    gone = scene.ann.delete(place_of(begun), params={"key": begun["key"]})

    assert (gone.status_code, gone.json()) == (200, {})
    assert scene.state(begun["key"]) is None
    assert scene.ann.get(f"{place_of(begun)}/2", params={"key": begun["key"]}).status_code == 404


CALLS = [
    ("GET", "", {}),
    ("GET", "/1", {}),
    ("GET", "/batch", {"partNumbers": "1"}),
    ("POST", "/complete", {}),
    ("DELETE", "", {}),
]


def test_foreign_upload_answers_like_an_unknown_one(scene, sent):
    def asked(client: httpx.Client, key: str, upload_id: str) -> list[tuple[int, str]]:
        """Return the response to each call."""
        found = []
        for method, path, more in CALLS:
            body = {"parts": []} if method == "POST" else None
            url = f"/s3/multipart/{upload_id}{path}"
            answer = client.request(method, url, params={"key": key, **more}, json=body)
            found.append((answer.status_code, answer.text.replace(key, "")))
        return found

    bobs = begin(scene.bob)
    foreign = asked(scene.bob, sent["key"], sent["uploadId"])
    unknown = asked(scene.bob, "0" * 36, sent["uploadId"])
    forged = asked(scene.ann, sent["key"], sent["uploadId"][::-1])
    others = asked(scene.bob, bobs["key"], sent["uploadId"])
    none = asked(scene.ann, sent["key"], "None")

    assert [status for status, _ in foreign] == [404] * len(CALLS)
    assert foreign == unknown == forged == others == none
    assert {status for status, _ in asked(scene.anonymous, sent["key"], sent["uploadId"])} == {401}
    assert len(scene.ann.get(place_of(sent), params={"key": sent["key"]}).json()) == 2, "nothing was done to it"
    assert scene.state(sent["key"]) == "UPLOADING"


@pytest.mark.parametrize("scene", [{"RESULTSTORE_QUOTA_RUNNING": "0"}], indirect=True)
def test_a_quota_refuses_before_anything_is_joined(scene, sent):
    refused = complete(scene.ann, sent)

    assert (refused.status_code, refused.json()["slug"]) == (429, "quota")
    ticket = TicketStore(scene.place.store).find(sent["key"])
    assert len(scene.place.store.blobs.parts(ticket.key, upload_id=ticket.upload_id)) == 2


@pytest.mark.parametrize("scene", [{"RESULTSTORE_QUOTA_TICKETS": "1"}], indirect=True)
def test_tickets_count_by_owner(scene):
    begin(scene.ann)
    second = scene.ann.post("/s3/multipart", json={"filename": "t.csv", "type": "text/csv", "metadata": META})

    assert (second.status_code, second.json()["slug"]) == (429, "quota")
    assert begin(scene.bob)["key"]


def test_wrong_type_is_a_readable_error(scene):
    page = b"<!doctype html><script>alert(1)</script>".ljust(200)
    begun = begin(scene.ann, size_bytes=str(len(page)))
    send_part(scene.ann, begun, page, 1).raise_for_status()

    answers = [complete(scene.ann, begun) for _ in range(2)]

    assert [one.status_code for one in answers] == [422, 422]
    assert "is text/html" in answers[0].json()["message"]
    assert scene.state(begun["key"]) == "FAILURE"
    assert list(scene.place.store.blobs.list("uploads/")) == []
