"""S3Signer on MinIO: the server enforces key, headers and expiry of each URL."""

import base64
import hashlib
import secrets
import time
from contextlib import contextmanager

import httpx
import msgspec
import pytest
import urllib3
from minio.credentials import StaticProvider
from minio.minioadmin import MinioAdmin

from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.driver import S3Blobs
from resultstore.blobs.s3.policies import reader_policy, uploader_policy
from resultstore.blobs.s3.signer import S3Signer
from tests.blobs.signed import KEY, PDF

REFUSED = (400, 403)  # MinIO says 400 to a signed header that is missing


@pytest.fixture
def on_minio(s3_target, s3_credentials):
    """Makes signers for the real server, as if it were another time."""

    def make(**options):
        return S3Signer(s3_target, credentials=s3_credentials, **options)

    return make


@pytest.fixture
def send():
    """Send a signed request as an untrusted client does, and return the status."""
    http = urllib3.PoolManager(retries=False, timeout=10)

    def send(signed, body=None, *, method=None, url=None, headers=None):
        sent = signed.headers if headers is None else headers
        return http.request(method or signed.method, url or signed.url, headers=dict(sent), body=body)

    yield send
    http.clear()


@contextmanager
def account(s3_server, policy):
    """An account of the real server that may do this."""
    provider = StaticProvider(s3_server.access_key, s3_server.secret_key)
    admin = MinioAdmin(endpoint=s3_server.endpoint.partition("://")[2], credentials=provider, secure=False)
    made = Credentials(f"scoped{secrets.token_hex(4)}", secrets.token_hex(16))
    admin.add_service_account(access_key=made.access_key, secret_key=made.secret_key, policy=policy)
    yield made
    admin.delete_service_account(made.access_key)


def writing(signer, kind, upload_id, *, key=KEY):
    """A URL to write five bytes: a whole blob, or a part of one."""
    if kind == "put":
        return signer.sign_put(key, expires_in_s=60, size_bytes=5, media_type="image/png")
    return signer.sign_part(key, expires_in_s=60, upload_id=upload_id, number=1, size_bytes=5)


@pytest.mark.parametrize(("asked", "media_type"), [(False, "image/png"), (True, "image/png"), (True, "text/html")])
def test_minio_serves_the_signed_name_and_type(s3_blobs, on_minio, send, asked, media_type):
    s3_blobs.put(KEY, [b"<html>"], media_type="text/html")

    answer = send(on_minio().sign_get(KEY, expires_in_s=60, inline=asked, **PDF | {"media_type": media_type}))

    assert (answer.status, answer.data) == (200, b"<html>")
    assert answer.headers["content-type"] == media_type
    named = answer.headers["content-disposition"]
    assert named.startswith("inline; " if asked and media_type == "image/png" else "attachment; ")
    assert "filename*=UTF-8''Bericht%20%C3%BCber%20M%C3%A4rz%20100%25.pdf" in named


def test_prefix_of_odd_characters_is_signed_as_written(s3_target, s3_credentials, send):
    from_odd = msgspec.structs.replace(s3_target, prefix="team a/ü+~(1)")
    blobs = S3Blobs(from_odd, credentials=s3_credentials)
    blobs.put(KEY, [b"odd"], media_type="text/plain")

    answer = send(S3Signer(from_odd, credentials=s3_credentials).sign_get(KEY, expires_in_s=60, **PDF))

    assert (answer.status, answer.data) == (200, b"odd")


def test_minio_refuses_expired_or_changed_read_urls(s3_blobs, on_minio, send):
    s3_blobs.put(KEY, [b"one"], media_type="text/plain")
    s3_blobs.put(KEY + "1", [b"two"], media_type="text/plain")
    good = on_minio().sign_get(KEY, expires_in_s=60, **PDF)
    old = on_minio(now=lambda: time.time() - 61).sign_get(KEY, expires_in_s=60, **PDF)
    digit = "0" if good.url[-1] != "0" else "1"

    assert send(good).status == 200
    assert send(old).status == 403
    assert send(good, url=good.url[:-1] + digit).status == 403
    assert send(good, url=good.url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000")).status == 403
    assert send(good, url=good.url.replace(KEY, KEY + "1")).status == 403
    assert send(good, url=good.url.replace("attachment", "inline")).status == 403
    assert send(good, url=good.url.replace("application%2Fpdf", "text%2Fhtml")).status == 403
    for method in ("PUT", "DELETE", "POST"):
        assert send(good, b"", method=method).status in REFUSED
    assert b"".join(s3_blobs.get(KEY)) == b"one"


def test_minio_accepts_a_signed_upload_once(s3_blobs, on_minio, send):
    signed = on_minio().sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="image/png")

    first = send(signed, b"12345")
    second = send(signed, b"54321")

    assert (first.status, second.status) == (200, 412)
    assert b"".join(s3_blobs.get(KEY)) == b"12345"


@pytest.mark.parametrize("left_out", ["if-none-match", "content-type", "x-amz-copy-source-if-match"])
def test_minio_refuses_an_upload_without_signed_header(s3_blobs, on_minio, send, left_out):
    signed = on_minio().sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="image/png")
    rest = {name: value for name, value in signed.headers.items() if name != left_out}

    assert send(signed, b"12345", headers=rest).status in REFUSED
    assert list(s3_blobs.list("")) == []


@pytest.mark.parametrize(
    ("changed", "body"),
    [
        ({"content-length": "6"}, b"123456"),
        ({"content-length": "4"}, b"1234"),
        ({"content-type": "text/html"}, b"12345"),
        ({"if-none-match": "other"}, b"12345"),
        ({"x-amz-meta-other": "1"}, b"12345"),
    ],
)
def test_minio_refuses_another_size_or_type(s3_blobs, on_minio, send, changed, body):
    signed = on_minio().sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="image/png")

    assert send(signed, body, headers={**signed.headers, **changed}).status in REFUSED
    assert list(s3_blobs.list("")) == []


def test_minio_refuses_an_upload_elsewhere_or_too_late(s3_blobs, on_minio, send):
    signed = on_minio().sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="image/png")
    old = on_minio(now=lambda: time.time() - 61).sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="image/png")

    assert send(signed, b"12345", url=signed.url.replace(KEY, KEY + "1")).status == 403
    assert send(old, b"12345").status == 403
    assert send(signed, method="GET", headers={}).status in REFUSED
    assert list(s3_blobs.list("")) == []


@pytest.mark.parametrize("kind", ["put", "part"])
def test_no_url_to_write_becomes_a_copy(s3_target, s3_blobs, on_minio, send, kind):
    s3_blobs.put(KEY + "1", [b"another client's"], media_type="text/plain")
    source = f"/{s3_target.bucket}/{s3_target.object_key(KEY)}1"
    upload = s3_blobs.begin_parts(KEY, media_type="a/b")
    signed = writing(on_minio(), kind, upload)

    for more in ({}, {"x-amz-metadata-directive": "REPLACE"}, {"x-amz-copy-source-range": "bytes=0-4"}):
        answer = send(signed, b"12345", headers={**signed.headers, "x-amz-copy-source": source, **more})

        assert answer.status == 412
    assert [stored.key for stored in s3_blobs.list("")] == [KEY + "1"]
    assert s3_blobs.parts(KEY, upload_id=upload) == ()
    s3_blobs.abort_parts(KEY, upload_id=upload)


@pytest.mark.parametrize("kind", ["put", "part"])
def test_an_uploader_learns_nothing_of_other_objects(s3_target, s3_blobs, s3_server, send, kind):
    s3_blobs.put(KEY + "1", [b"another client's"], media_type="text/plain")
    upload_key = "uploads/1d/ab/x/" + "0" * 32
    upload = s3_blobs.begin_parts(upload_key, media_type="a/b")
    with account(s3_server, uploader_policy(s3_target)) as uploader:
        signed = writing(S3Signer(s3_target, credentials=lambda: uploader), kind, upload, key=upload_key)
        sources = [f"{s3_target.object_key(KEY)}1", f"{s3_target.object_key(KEY)}2", "nothing/of/ours"]
        answers = [
            send(signed, b"12345", headers={**signed.headers, "x-amz-copy-source": f"/{bucket}/{one}"})
            for one in sources
            for bucket in (s3_target.bucket, "another-bucket")
        ]
        honest = send(signed, b"12345")

    assert {one.status for one in answers} == {403}
    assert honest.status == 200, "what it is for"
    s3_blobs.abort_parts(upload_key, upload_id=upload)


@pytest.mark.parametrize("kind", ["put", "part"])
@pytest.mark.parametrize("changed", ["key", "length", "time", "signature"])
def test_every_write_url_is_enforced(s3_blobs, on_minio, send, kind, changed):
    upload = s3_blobs.begin_parts(KEY, media_type="a/b")
    late = {"now": lambda: time.time() - 61} if changed == "time" else {}
    signed = writing(on_minio(**late), kind, upload)
    url = {"key": signed.url.replace(KEY, KEY + "1"), "signature": signed.url[:-4] + "0000"}.get(changed, signed.url)
    headers = signed.headers | ({"content-length": "6"} if changed == "length" else {})

    answer = send(signed, b"123456"[: int(headers["content-length"])], url=url, headers=headers)

    assert answer.status in REFUSED
    assert s3_blobs.parts(KEY, upload_id=upload) == ()
    assert list(s3_blobs.list("")) == []
    s3_blobs.abort_parts(KEY, upload_id=upload)


def test_an_expired_form_is_refused(s3_blobs, on_minio):
    asked = {"expires_in_s": 60, "size_bytes": 5, "media_type": "image/png"}
    forms = [on_minio(now=lambda late_s=late_s: time.time() - late_s).sign_form(KEY, **asked) for late_s in (61, 0)]

    answers = [httpx.post(one.url, data=one.fields, files={"file": ("any", b"12345")}) for one in forms]

    assert [one.status_code for one in answers] == [403, 204]


def test_minio_verifies_the_checksum_that_was_signed(s3_blobs, on_minio, send):
    digest = base64.b64encode(hashlib.sha256(b"12345").digest()).decode()
    signed = on_minio().sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="image/png", checksum_sha256=digest)

    wrong = send(signed, b"54321")
    right = send(signed, b"12345")

    assert (wrong.status, right.status) == (400, 200)
    assert b"".join(s3_blobs.get(KEY)) == b"12345"


def test_browsers_cache_a_windowed_url(s3_blobs, on_minio, send):
    s3_blobs.put(KEY, [b"content"], media_type="text/plain")
    begun = 300 * (int(time.time()) // 300)

    signed = on_minio(window_s=300).sign_get(KEY, expires_in_s=900, **PDF)
    last = on_minio(window_s=300, now=lambda: begun + 299.0).sign_get(KEY, expires_in_s=900, **PDF)

    answer = send(signed)
    assert (answer.status, answer.headers["cache-control"]) == (200, "private, max-age=300")
    assert signed == last
    assert signed.expires_at == begun + 900


def test_read_urls_are_signed_by_a_reader(s3_blobs, s3_target, s3_credentials, s3_server, send):
    # given: the account of the real server that may read blobs below the root
    s3_blobs.put(KEY, [b"content"], media_type="text/plain")
    with account(s3_server, reader_policy(s3_target)) as reader:
        # when
        signer = S3Signer(s3_target, credentials=s3_credentials, read_credentials=lambda: reader)
        read = signer.sign_get(KEY, expires_in_s=60, **PDF)
        write = signer.sign_put(KEY + "1", expires_in_s=60, size_bytes=3, media_type="text/plain")
        stolen = S3Signer(s3_target, credentials=lambda: reader)
        forged = stolen.sign_put(KEY + "2", expires_in_s=60, size_bytes=3, media_type="text/plain")

        # then
        assert f"X-Amz-Credential={reader.access_key}%2F" in read.url
        assert send(read).status == 200
        assert send(write, b"new").status == 200
        assert send(forged, b"new").status == 403
