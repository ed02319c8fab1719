"""Presign: the URLs are those of botocore and minio-py, byte for byte, and the real server holds them to their word."""

import base64
import hashlib
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.auth
import minio
import msgspec
import pytest
import urllib3
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from resultstore.blobs.blobstore import Signer
from resultstore.blobs.credentials import Credentials
from resultstore.blobs.presign import S3Signer
from resultstore.blobs.s3 import S3Blobs
from resultstore.blobs.target import S3Target
from resultstore.model.errors import BadReference

MOMENT = datetime(2026, 11, 21, 7, 40, 13, tzinfo=UTC)
KEY = "blobs/30d/ab/7f3a/0123456789abcdef0123456789abcdef.0"
STATIC = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials("ASIAEXAMPLE", "secret/+=", "FwoGZXIvYXdzEJr//token+with/odd==chars")
PDF = {"file_name": "Bericht über März 100%.pdf", "media_type": "application/pdf; charset=utf-8"}

REFUSED = (400, 403)  # MinIO says 400 to a signed header that is missing

TARGETS = {
    "path": S3Target(bucket="results", prefix="team a/ü+~(1)", endpoint_url="http://minio:9000"),
    "host": S3Target(bucket="results", endpoint_url="https://s3.example.com", path_style=False, region="eu-west-1"),
    "port": S3Target(
        bucket="results", prefix="x", endpoint_url="http://minio:9000", public_endpoint_url="https://s3.example.com:443"
    ),
    "aws": S3Target(bucket="results", region="eu-central-1", path_style=False),
}


def signer(target, credentials=STATIC, **options):
    return S3Signer(target, credentials=lambda: credentials, now=MOMENT.timestamp, **options)


def disposition_of(url):
    return parse_qs(urlsplit(url).query)["response-content-disposition"][0]


@pytest.fixture
def frozen(monkeypatch):
    """Botocore's clock stands still at MOMENT."""
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: MOMENT.replace(tzinfo=None))


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


@pytest.mark.parametrize("credentials", [STATIC, TEMPORARY], ids=["static", "temporary"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("inline", [False, True])
def test_a_url_to_read_is_the_one_that_botocore_signs(frozen, target, credentials, inline):
    client = boto3.session.Session(
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token or None,
        region_name=target.region,
    ).client(
        "s3",
        endpoint_url=target.public_origin,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path" if target.path_style else "virtual"}),
    )

    ours = signer(target, credentials).sign_get(KEY, expires_in_s=900, inline=inline, **PDF)

    theirs = client.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": target.bucket,
            "Key": target.object_key(KEY),
            "ResponseContentDisposition": disposition_of(ours.url),
            "ResponseContentType": PDF["media_type"],
        },
        ExpiresIn=900,
    )
    assert ours.url == theirs
    assert (ours.method, dict(ours.headers), ours.expires_at) == ("GET", {}, int(MOMENT.timestamp()) + 900)


@pytest.mark.parametrize("target", [TARGETS["path"], TARGETS["port"]], ids=["path", "port"])
def test_a_url_to_read_is_the_one_that_minio_signs(target):
    origin = urlsplit(target.public_origin)
    client = minio.Minio(
        origin.netloc,
        access_key=STATIC.access_key,
        secret_key=STATIC.secret_key,
        region=target.region,
        secure=origin.scheme == "https",
    )

    ours = signer(target).sign_get(KEY, expires_in_s=60, **PDF)

    theirs = client.get_presigned_url(
        "GET",
        target.bucket,
        target.object_key(KEY),
        expires=timedelta(seconds=60),
        request_date=MOMENT,
        response_headers={
            "response-content-disposition": disposition_of(ours.url),
            "response-content-type": PDF["media_type"],
        },
    )
    assert ours.url == theirs


@pytest.mark.parametrize("checksum", [None, base64.b64encode(hashlib.sha256(b"x").digest()).decode()])
@pytest.mark.parametrize("credentials", [STATIC, TEMPORARY], ids=["static", "temporary"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_url_to_write_is_the_one_that_botocore_signs(frozen, target, credentials, checksum):
    ours = signer(target, credentials).sign_put(
        KEY, expires_in_s=900, size_bytes=5, media_type="image/png", checksum_sha256=checksum
    )

    request = AWSRequest(method="PUT", url=ours.url.partition("?")[0], headers=dict(ours.headers))
    theirs = botocore.credentials.ReadOnlyCredentials(
        credentials.access_key, credentials.secret_key, credentials.session_token or None
    )
    botocore.auth.S3SigV4QueryAuth(theirs, "s3", target.region, expires=900).add_auth(request)
    assert ours.url == request.url
    wanted = {"content-length": "5", "content-type": "image/png", "if-none-match": "*"}
    wanted |= {} if "amazonaws" in ours.url else {"x-amz-copy-source-if-match": "none"}
    assert dict(ours.headers) == wanted | ({"x-amz-checksum-sha256": checksum} if checksum else {})


def test_signing_asks_no_server():
    dead = S3Target(bucket="results", endpoint_url="http://127.0.0.1:9")
    one = S3Signer(dead, credentials=lambda: STATIC)

    assert isinstance(one, Signer)
    assert one.sign_get(KEY, expires_in_s=5, **PDF).url.startswith("http://127.0.0.1:9/results/blobs/")


def test_the_url_names_the_public_endpoint():
    target = msgspec.structs.replace(TARGETS["path"], public_endpoint_url="https://files.example.com/")

    assert signer(target).sign_get(KEY, expires_in_s=5, **PDF).url.startswith("https://files.example.com/results/")


def test_new_credentials_and_a_new_day_are_signed_with_at_once():
    now, credentials = [MOMENT.timestamp()], [STATIC]
    one = S3Signer(TARGETS["path"], credentials=lambda: credentials[0], now=lambda: now[0])
    first = one.sign_get(KEY, expires_in_s=900, **PDF).url

    credentials[0] = TEMPORARY
    second = one.sign_get(KEY, expires_in_s=900, **PDF).url
    now[0] += 86_400
    third = one.sign_get(KEY, expires_in_s=900, **PDF).url

    assert second == signer(TARGETS["path"], TEMPORARY).sign_get(KEY, expires_in_s=900, **PDF).url
    assert len({first, second, third}) == 3
    assert "%2F20261122%2F" in third


def test_within_a_window_a_url_stays_the_same_and_never_outlives_what_was_asked():
    now = [MOMENT.timestamp()]
    one = S3Signer(TARGETS["path"], credentials=lambda: STATIC, now=lambda: now[0], window_s=300)
    early = one.sign_get(KEY, expires_in_s=900, **PDF)

    now[0] = MOMENT.timestamp() + 200 - MOMENT.timestamp() % 300 + 60
    late = one.sign_get(KEY, expires_in_s=900, **PDF)
    short = one.sign_get(KEY, expires_in_s=599, **PDF)

    assert early == late
    assert now[0] + 600 <= late.expires_at <= now[0] + 900
    assert short.expires_at == int(now[0]) + 599


@pytest.mark.parametrize("expires_in_s", [0, -1, 604_801])
def test_a_life_that_no_store_grants_is_refused(expires_in_s):
    with pytest.raises(BadReference, match="1 to 604800 seconds"):
        signer(TARGETS["path"]).sign_get(KEY, expires_in_s=expires_in_s, **PDF)


@pytest.mark.parametrize("key", ["", "../secret", "blobs//x", "a b", "a?b", "/x", ".minio.sys/x"])
def test_a_key_that_names_no_blob_is_never_signed(key):
    with pytest.raises(BadReference):
        signer(TARGETS["path"]).sign_get(key, expires_in_s=5, **PDF)
    with pytest.raises(BadReference):
        signer(TARGETS["path"]).sign_put(key, expires_in_s=5, size_bytes=1, media_type="text/plain")


def test_a_secret_is_never_shown():
    assert "secret" not in repr(TEMPORARY)
    assert "token" not in repr(TEMPORARY)


@pytest.mark.parametrize("inline", [False, True])
def test_minio_serves_the_blob_under_the_name_and_type_that_were_signed(s3_blobs, on_minio, send, inline):
    s3_blobs.put(KEY, [b"<html>"], media_type="text/html")

    answer = send(on_minio().sign_get(KEY, expires_in_s=60, inline=inline, **PDF))

    assert (answer.status, answer.data) == (200, b"<html>")
    assert answer.headers["content-type"] == PDF["media_type"]
    named = answer.headers["content-disposition"]
    assert named.startswith("inline; " if inline else "attachment; ")
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
