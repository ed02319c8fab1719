"""Signing, with the requests of @uppy/aws-s3 6: each URL allows one request; a lost response is harmless."""

import re
import time

import httpx
import pytest

from resultstore.gateway.middleware.write_guard import MAX_BODY_BYTES
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.uploads.ticket import TicketStore
from tests.uploads.uppy.conftest import CHUNK, SIZE

TABLE = {"name": "t.csv", "media_type": "text/csv", "size_bytes": SIZE, "task": "tables.convert"}

METHODS = ("PUT", "GET", "POST", "DELETE")


def sign(client: httpx.Client, method: str, key: str = "uppy-t-csv", **rest) -> httpx.Response:
    return client.post("/v1/uppy/sign", json={"method": method, "key": key, **rest})


def send(scene, signed: dict, method: str, body: bytes = b"", **headers: str) -> httpx.Response:
    """Send a request like S3mini.send: no token, and the signer's headers override its own."""
    return scene.anonymous.request(method, signed["url"], content=body, headers={**headers, **signed["headers"]})


def begin(scene) -> dict[str, str]:
    """Begin an upload like createMultipartUpload: the response is XML with the key that the signer chose."""
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
    """Begin an upload of Ann and send both parts."""
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


def test_repeated_completion_after_503_succeeds(scene, sent, monkeypatch):
    # given a store that joins the parts, and then answers 503 for a while
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


def test_joined_parts_are_not_sent_again_after_reload(scene, sent, table):
    # given a completed upload whose response the page did not receive
    complete(scene, sent)

    listed = send(scene, sign(scene.ann, "GET", **sent).json(), "GET").text
    again = complete(scene, sent)

    assert re.findall(r"<PartNumber>(\d)</PartNumber><ETag>&quot;[\w-]+&quot;</ETag><Size>(\d+)", listed) == [
        ("1", str(CHUNK)),
        ("2", str(SIZE - CHUNK)),
    ]
    assert again.status_code == 200
    assert scene.place.waiting() == 1


def test_incomplete_upload_is_refused_and_can_be_aborted(scene, table):
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


def test_single_put_is_found_at_next_poll(scene, reconciler, photo):
    upload = {"name": "a.jpg", "media_type": "image/jpeg", "size_bytes": len(photo), "task": "images.resize"}
    signed = sign(scene.ann, "PUT", contentType="image/jpeg", upload=upload).json()

    send(scene, signed, "PUT", photo, **{"content-type": "image/jpeg"}).raise_for_status()

    assert reconciler.poll_untracked().completed == 1
    assert (scene.state(signed["key"]), scene.place.waiting()) == ("PENDING", 1)


def test_foreign_upload_answers_like_an_unknown_one(scene, sent):
    def asked(client: httpx.Client, key: str, upload_id: str) -> list[tuple[int, str]]:
        """Return the response to each request to sign."""
        answers = [sign(client, method, key, uploadId=upload_id, partNumber=1) for method in METHODS]
        return [(one.status_code, one.text.replace(key, "")) for one in answers]

    foreign = asked(scene.bob, sent["key"], sent["uploadId"])
    unknown = asked(scene.bob, "0" * 36, sent["uploadId"])
    forged = asked(scene.ann, sent["key"], sent["uploadId"][::-1])

    assert [status for status, _ in foreign] == [404] * len(METHODS)
    assert foreign == unknown == forged
    assert {status for status, _ in asked(scene.anonymous, sent["key"], sent["uploadId"])} == {401}
    assert scene.state(sent["key"]) == "UPLOADING"


def test_signed_url_allows_one_action_for_limited_time(scene, sent, monkeypatch):
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
        refused = scene.anonymous.request("POST" if "complete" in url else "GET", url)
        assert (refused.status_code, "<Code>AccessDenied</Code>" in refused.text) == (403, True), name
    assert scene.anonymous.get(given).status_code == 200
    later = time.time() + 4000
    clock = type("Later", (), {"time": staticmethod(lambda: later)})
    monkeypatch.setattr("resultstore.gateway.uploads.uppy_signing.time", clock)
    assert scene.anonymous.get(given).status_code == 403


def test_only_new_or_known_uploads_are_signed(scene):
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


def test_completion_body_is_limited_and_ignored(scene, sent):
    signed = sign(scene.ann, "POST", **sent).json()
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><CompleteMultipartUpload>&b;'

    endless = send(scene, signed, "POST", b"<" * (MAX_BODY_BYTES + 1))
    elsewhere = send(scene, signed, "POST", bomb, Origin="https://evil.example")
    hostile = send(scene, signed, "POST", bomb)

    assert (endless.status_code, elsewhere.status_code, hostile.status_code) == (413, 403, 200)
    assert scene.place.waiting() == 1
    assert TicketStore(scene.place.store).find(sent["key"]).closed
