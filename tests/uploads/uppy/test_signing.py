"""Signing, in the shapes of @uppy/aws-s3 6: each URL is good for one request, and a lost answer is no failure."""

import re
import time

import httpx
import pytest

from resultstore.gateway.middleware.write_guard import MAX_BODY_BYTES
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.uploads.ticket import Tickets
from tests.uploads.uppy.conftest import CHUNK, SIZE

TABLE = {"name": "t.csv", "media_type": "text/csv", "size_bytes": SIZE, "task": "tables.convert"}

METHODS = ("PUT", "GET", "POST", "DELETE")


def sign(client: httpx.Client, method: str, key: str = "uppy-t-csv", **rest) -> httpx.Response:
    return client.post("/v1/uppy/sign", json={"method": method, "key": key, **rest})


def send(scene, signed: dict, method: str, body: bytes = b"", **headers: str) -> httpx.Response:
    """As S3mini.send does: no token, the signer's headers over its own."""
    return scene.stranger.request(method, signed["url"], content=body, headers={**headers, **signed["headers"]})


def begin(scene) -> dict[str, str]:
    """As createMultipartUpload does: the store's answer is XML, by the key that the signer chose."""
    signed = sign(scene.ann, "POST", upload=TABLE).raise_for_status().json()
    answer = send(scene, signed, "POST", **{"Content-Type": "text/csv"})
    [upload_id] = re.findall("<InitiateMultipartUploadResult.*<UploadId>(.*)</UploadId>", answer.text)
    return {"key": signed["key"], "uploadId": upload_id}


def send_part(scene, begun: dict[str, str], table: bytes, number: int) -> str:
    signed = sign(scene.ann, "PUT", **begun, partNumber=number).json()
    return send(scene, signed, "PUT", table[(number - 1) * CHUNK : number * CHUNK]).raise_for_status().headers["ETag"]


def complete(scene, begun: dict[str, str], client: httpx.Client | None = None) -> httpx.Response:
    signed = sign(client or scene.ann, "POST", **begun).json()
    body = "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
    return send(scene, signed, "POST", body.encode(), **{"Content-Type": "application/xml"})


@pytest.fixture
def sent(scene, table) -> dict[str, str]:
    """Both parts of ann's file have arrived."""
    begun = begin(scene)
    for number in (1, 2):
        send_part(scene, begun, table, number)
    return begun


def test_the_browser_completes_it_by_itself(scene, sent, table):
    done = complete(scene, sent)

    assert (done.status_code, done.headers["content-type"]) == (200, "application/xml")
    assert f"<Key>{sent['key']}</Key>" in done.text
    assert f"<Location>/v1/results/{sent['key']}</Location>" in done.text
    assert done.text.endswith("</CompleteMultipartUploadResult>")
    found = scene.place.store.load(sent["key"])
    assert (found.state, found.owner) == ("PENDING", "ann")
    assert b"".join(scene.place.store.blobs.get(found.artifact("input").key)) == table
    assert scene.place.waiting() == 1


def test_a_503_after_the_stores_commit_is_answered_when_it_is_sent_again(scene, sent, monkeypatch):
    # given a store that joins the parts, and then answers nothing but 503 for a while
    blobs, joined = scene.place.store.blobs, []
    joins, stats = blobs.complete_parts, blobs.stat

    def torn(*args, **kwargs):
        joined.append(joins(*args, **kwargs))
        raise BlobStoreUnavailable("503 Service Unavailable")

    def stat(key):
        if joined:
            raise BlobStoreUnavailable("503 Service Unavailable")
        return stats(key)

    signed = sign(scene.ann, "POST", **sent).json()
    with monkeypatch.context() as patch:
        patch.setattr(blobs, "complete_parts", torn)
        patch.setattr(blobs, "stat", stat)
        first = send(scene, signed, "POST")
    again = [send(scene, signed, "POST") for _ in range(2)]

    assert (len(joined), first.status_code) == (1, 503)
    assert "<Code>ServiceUnavailable</Code>" in first.text
    assert [one.status_code for one in again] == [200, 200]
    assert scene.place.waiting() == 1


def test_after_a_reload_nothing_that_was_joined_is_sent_again(scene, sent, table):
    # given an upload that was completed, of which the page has not heard
    complete(scene, sent)

    listed = send(scene, sign(scene.ann, "GET", **sent).json(), "GET").text
    again = complete(scene, sent)

    assert re.findall(r"<PartNumber>(\d)</PartNumber><ETag>&quot;[\w-]+&quot;</ETag><Size>(\d+)", listed) == [
        ("1", str(CHUNK)),
        ("2", str(SIZE - CHUNK)),
    ]
    assert again.status_code == 200
    assert scene.place.waiting() == 1


def test_what_has_not_arrived_is_not_completed_and_can_be_given_up(scene, table):
    begun = begin(scene)
    etag = send_part(scene, begun, table, 1).strip('"')

    listed = send(scene, sign(scene.ann, "GET", **begun).json(), "GET").text
    early = complete(scene, begun)
    gone = send(scene, sign(scene.ann, "DELETE", **begun).json(), "DELETE")

    assert re.findall(r"<PartNumber>(\d)</PartNumber><ETag>&quot;(\w+)&quot;", listed) == [("1", etag)]
    assert (early.status_code, "<Code>InvalidPart</Code>" in early.text) == (400, True)
    assert (gone.status_code, gone.content) == (204, b"")
    assert scene.state(begun["key"]) is None
    assert sign(scene.ann, "GET", **begun).status_code == 404


def test_a_file_in_one_piece_is_found_at_the_next_glance(scene, reconciler, photo):
    upload = {"name": "a.jpg", "media_type": "image/jpeg", "size_bytes": len(photo), "task": "images.resize"}
    signed = sign(scene.ann, "PUT", contentType="image/jpeg", upload=upload).json()

    send(scene, signed, "PUT", photo, **{"content-type": "image/jpeg"}).raise_for_status()

    assert reconciler.glance().completed == 1
    assert (scene.state(signed["key"]), scene.place.waiting()) == ("PENDING", 1)


def test_a_strangers_upload_answers_as_one_that_does_not_exist(scene, sent):
    def asked(client: httpx.Client, key: str, upload_id: str) -> list[tuple[int, str]]:
        """What each request to sign answers."""
        answers = [sign(client, method, key, uploadId=upload_id, partNumber=1) for method in METHODS]
        return [(one.status_code, one.text.replace(key, "")) for one in answers]

    foreign = asked(scene.bob, sent["key"], sent["uploadId"])
    unknown = asked(scene.bob, "0" * 36, sent["uploadId"])
    forged = asked(scene.ann, sent["key"], sent["uploadId"][::-1])

    assert [status for status, _ in foreign] == [404] * len(METHODS)
    assert foreign == unknown == forged
    assert {status for status, _ in asked(scene.stranger, sent["key"], sent["uploadId"])} == {401}
    assert scene.state(sent["key"]) == "UPLOADING"


def test_a_url_is_good_for_one_action_on_one_upload_for_a_while(scene, sent, monkeypatch):
    other = begin(scene)
    given = sign(scene.ann, "GET", **sent).json()["url"]
    path, _, query = given.partition("?")
    wrong = {
        "another action": f"{path.replace('/parts', '/complete')}?{query}",
        "another upload": f"{path.replace(sent['key'], other['key'])}?{query}",
        "a longer life": given.replace("expires=", "expires=9"),
        "another mac": given[:-32] + "0" * 32,
        "no mac": path,
    }

    for name, url in wrong.items():
        refused = scene.stranger.request("POST" if "complete" in url else "GET", url)
        assert (refused.status_code, "<Code>AccessDenied</Code>" in refused.text) == (403, True), name
    assert scene.stranger.get(given).status_code == 200
    later = time.time() + 4000
    clock = type("Later", (), {"time": staticmethod(lambda: later)})
    monkeypatch.setattr("resultstore.gateway.uploads.uppy_signing.time", clock)
    assert scene.stranger.get(given).status_code == 403


def test_what_is_signed_is_a_new_file_or_one_that_was_begun(scene):
    wrong = [
        ("PUT", {}),
        ("POST", {}),
        ("DELETE", {"upload": TABLE}),
        ("PUT", {"upload": TABLE | {"options": {"nonsense": 1}}}),
        ("PUT", {"upload": TABLE | {"key": "blobs/30d/aa/x/y.0"}}),
        ("PATCH", {"upload": TABLE}),
    ]

    for method, rest in wrong:
        assert sign(scene.ann, method, **rest).status_code == 422
    assert list(scene.place.store.ids(owner="ann")) == []


def test_the_body_of_a_completion_is_bounded_and_read_by_nobody(scene, sent):
    signed = sign(scene.ann, "POST", **sent).json()
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><CompleteMultipartUpload>&b;'

    endless = send(scene, signed, "POST", b"<" * (MAX_BODY_BYTES + 1))
    elsewhere = send(scene, signed, "POST", bomb, Origin="https://evil.example")
    hostile = send(scene, signed, "POST", bomb)

    assert (endless.status_code, elsewhere.status_code, hostile.status_code) == (413, 403, 200)
    assert scene.place.waiting() == 1
    assert Tickets(scene.place.store).find(sent["key"]).closed
