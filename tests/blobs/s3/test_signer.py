"""S3Signer: the URLs equal those of botocore and minio-py, byte for byte, without a request."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.auth
import minio
import msgspec
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from resultstore.blobs.blobstore import Signer
from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.signer import S3Signer
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BadReference
from tests.blobs.signed import KEY, PDF

MOMENT = datetime(2026, 11, 21, 7, 40, 13, tzinfo=UTC)
STATIC = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TEMPORARY = Credentials("ASIAEXAMPLE", "secret/+=", "FwoGZXIvYXdzEJr//token+with/odd==chars")

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
    """Stop botocore's clock at MOMENT."""
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: MOMENT.replace(tzinfo=None))


@pytest.mark.parametrize("credentials", [STATIC, TEMPORARY], ids=["static", "temporary"])
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("inline", [False, True])
def test_read_url_equals_botocores(frozen, target, credentials, inline):
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
def test_read_url_equals_minios(target):
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
def test_write_url_equals_botocores(frozen, target, credentials, checksum):
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


def test_new_credentials_and_days_apply_at_once():
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


def test_url_is_stable_within_its_window():
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
def test_invalid_key_is_never_signed(key):
    with pytest.raises(BadReference):
        signer(TARGETS["path"]).sign_get(key, expires_in_s=5, **PDF)
    with pytest.raises(BadReference):
        signer(TARGETS["path"]).sign_put(key, expires_in_s=5, size_bytes=1, media_type="text/plain")


def test_a_secret_is_never_shown():
    assert "secret" not in repr(TEMPORARY)
    assert "token" not in repr(TEMPORARY)
