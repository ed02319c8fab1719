"""Presign, on MinIO: the real server holds a URL to its word: its blob, its headers, its time."""

import base64
import hashlib
import secrets
import time

import msgspec
import pytest
import urllib3
from minio.credentials import StaticProvider
from minio.minioadmin import MinioAdmin

from resultstore.blobs.credentials import Credentials
from resultstore.blobs.presign import S3Signer
from resultstore.blobs.s3 import S3Blobs
from tests.unit.blobs.signed import KEY, PDF

REFUSED = (400, 403)  # MinIO says 400 to a signed header that is missing


@pytest.fixture
def on_minio(s3_target, s3_credentials):
    """Makes signers for the real server, as if it were another time."""

    def make(**options):
        return S3Signer(s3_target, credentials=s3_credentials, **options)

    return make


@pytest.fixture
def send():
    """Sends a signed request as a stranger would, and answers with the status."""
    http = urllib3.PoolManager(retries=False, timeout=10)

    def send(signed, body=None, *, method=None, url=None, headers=None):
        sent = signed.headers if headers is None else headers
        return http.request(method or signed.method, url or signed.url, headers=dict(sent), body=body)

    yield send
    http.clear()


@pytest.mark.parametrize(("asked", "media_type"), [(False, "image/png"), (True, "image/png"), (True, "text/html")])
def test_minio_serves_the_blob_under_the_name_and_type_that_were_signed(s3_blobs, on_minio, send, asked, media_type):
    s3_blobs.put(KEY, [b"<html>"], media_type="text/html")

    answer = send(on_minio().sign_get(KEY, expires_in_s=60, inline=asked, **PDF | {"media_type": media_type}))

    assert (answer.status, answer.data) == (200, b"<html>")
    assert answer.headers["content-type"] == media_type
    named = answer.headers["content-disposition"]
    assert named.startswith("inline; " if asked and media_type == "image/png" else "attachment; ")
    assert "filename*=UTF-8''Bericht%20%C3%BCber%20M%C3%A4rz%20100%25.pdf" in named


def test_a_root_of_odd_characters_is_signed_as_it_is_written(s3_target, s3_credentials, send):
    from_odd = msgspec.structs.replace(s3_target, prefix="team a/ü+~(1)")
    blobs = S3Blobs(from_odd, credentials=s3_credentials)
    blobs.put(KEY, [b"odd"], media_type="text/plain")

    answer = send(S3Signer(from_odd, credentials=s3_credentials).sign_get(KEY, expires_in_s=60, **PDF))

    assert (answer.status, answer.data) == (200, b"odd")


def test_minio_refuses_a_url_to_read_that_is_expired_or_changed(s3_blobs, on_minio, send):
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


def test_minio_takes_a_signed_upload_once_and_exactly_as_signed(s3_blobs, on_minio, send):
    signed = on_minio().sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="image/png")

    first = send(signed, b"12345")
    second = send(signed, b"54321")

    assert (first.status, second.status) == (200, 412)
    assert b"".join(s3_blobs.get(KEY)) == b"12345"


@pytest.mark.parametrize("left_out", ["if-none-match", "content-type", "x-amz-copy-source-if-match"])
def test_minio_refuses_an_upload_that_leaves_a_signed_header_out(s3_blobs, on_minio, send, left_out):
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
def test_minio_refuses_an_upload_of_another_size_or_kind(s3_blobs, on_minio, send, changed, body):
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


def test_a_url_to_write_cannot_be_turned_into_a_copy_of_another_blob(s3_target, s3_blobs, on_minio, send):
    s3_blobs.put(KEY + "1", [b"somebody else's"], media_type="text/plain")
    source = f"/{s3_target.bucket}/{s3_target.object_key(KEY)}1"
    signed = on_minio().sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="image/png")

    for more in ({}, {"x-amz-metadata-directive": "REPLACE"}):
        answer = send(signed, b"12345", headers={**signed.headers, "x-amz-copy-source": source, **more})

        assert answer.status == 412
    assert [stored.key for stored in s3_blobs.list("")] == [KEY + "1"]


def test_minio_verifies_the_checksum_that_was_signed(s3_blobs, on_minio, send):
    digest = base64.b64encode(hashlib.sha256(b"12345").digest()).decode()
    signed = on_minio().sign_put(KEY, expires_in_s=60, size_bytes=5, media_type="image/png", checksum_sha256=digest)

    wrong = send(signed, b"54321")
    right = send(signed, b"12345")

    assert (wrong.status, right.status) == (400, 200)
    assert b"".join(s3_blobs.get(KEY)) == b"12345"


def test_a_url_of_a_window_is_kept_by_browsers_and_works_to_its_end(s3_blobs, on_minio, send):
    s3_blobs.put(KEY, [b"content"], media_type="text/plain")
    begun = 300 * (int(time.time()) // 300)

    signed = on_minio(window_s=300).sign_get(KEY, expires_in_s=900, **PDF)
    last = on_minio(window_s=300, now=lambda: begun + 299.0).sign_get(KEY, expires_in_s=900, **PDF)

    answer = send(signed)
    assert (answer.status, answer.headers["cache-control"]) == (200, "private, max-age=300")
    assert signed == last
    assert signed.expires_at == begun + 900


def test_urls_to_read_are_signed_by_an_identity_that_can_do_nothing_else(
    s3_blobs, s3_target, s3_credentials, s3_server, send
):
    # given: an account of the real server that may read blobs below the root
    provider = StaticProvider(s3_server.access_key, s3_server.secret_key)
    admin = MinioAdmin(endpoint=s3_server.endpoint.partition("://")[2], credentials=provider, secure=False)
    where = f"arn:aws:s3:::{s3_target.bucket}/{s3_target.object_key('')}*"
    allowed = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [where]}
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    reader = Credentials(f"reader{secrets.token_hex(4)}", secrets.token_hex(16))
    admin.add_service_account(access_key=reader.access_key, secret_key=reader.secret_key, policy=policy)
    s3_blobs.put(KEY, [b"content"], media_type="text/plain")

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
    admin.delete_service_account(reader.access_key)
