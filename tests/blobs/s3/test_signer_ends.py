"""S3Signer with temporary credentials: no URL outlives the credentials that signed it."""

import base64
import json
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest

from resultstore import Settings, connect
from resultstore.blobs.s3.credential_chain import CredentialChain
from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.signer import S3Signer
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BlobStoreUnavailable
from tests.blobs.signed import KEY, PDF

NOW = 1_800_000_000
SIGN = {
    "get": lambda signer: signer.sign_get(KEY, expires_in_s=7_200, **PDF),
    "put": lambda signer: signer.sign_put(KEY, expires_in_s=7_200, size_bytes=5, media_type="a/b"),
    "part": lambda signer: signer.sign_part(KEY, expires_in_s=7_200, upload_id="x", number=1, size_bytes=5),
    "form": lambda signer: signer.sign_form(KEY, expires_in_s=7_200, size_bytes=5, media_type="a/b"),
}


def signer(*, left_s: float | None, window_s: int = 0) -> S3Signer:
    """Signs with credentials that end in `left_s`."""
    end = None if left_s is None else NOW + left_s
    return S3Signer(
        S3Target(bucket="results", endpoint_url="http://minio:9000"),
        credentials=lambda: Credentials("id", "secret", "token", end),
        now=lambda: NOW + 7.5,
        window_s=window_s,
    )


def promised(signed) -> int:
    """When the store itself will refuse it."""
    if hasattr(signed, "fields"):
        policy = json.loads(base64.b64decode(signed.fields["policy"]))
        return int(datetime.fromisoformat(policy["expiration"]).timestamp())
    query = parse_qs(urlsplit(signed.url).query)
    begun = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(begun.timestamp()) + int(query["X-Amz-Expires"][0])


@pytest.mark.parametrize("window_s", [0, 300])
@pytest.mark.parametrize("kind", SIGN)
def test_no_url_outlives_its_credentials(kind, window_s):
    signed = SIGN[kind](signer(left_s=900.9, window_s=window_s))

    assert signed.expires_at == promised(signed) == NOW + 900


@pytest.mark.parametrize("left_s", [None, 7_300])
@pytest.mark.parametrize("kind", SIGN)
def test_credentials_that_last_change_nothing(kind, left_s):
    signed = SIGN[kind](signer(left_s=left_s))

    assert signed.expires_at == promised(signed) == NOW + 7 + 7_200


@pytest.mark.parametrize("kind", SIGN)
def test_credentials_that_have_ended_sign_nothing(kind):
    with pytest.raises(BlobStoreUnavailable, match="have expired"):
        SIGN[kind](signer(left_s=5))


@pytest.fixture
def temporary(s3_server, bucket, tmp_path, monkeypatch) -> float:
    """Credentials of MinIO's own STS, by a profile, as an instance role gives them; when they end."""
    root = {"aws_access_key_id": s3_server.access_key, "aws_secret_access_key": s3_server.secret_key}
    sts = boto3.client("sts", endpoint_url=s3_server.endpoint, region_name="us-east-1", **root)
    role = {"RoleArn": "arn:aws:iam::123456789012:role/x", "RoleSessionName": "test", "DurationSeconds": 900}
    given = sts.assume_role(**role)["Credentials"]
    document = {"Version": 1, **{name: given[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")}}
    (tmp_path / "said").write_text(json.dumps({**document, "Expiration": given["Expiration"].isoformat()}))
    (tmp_path / "config").write_text(f"[profile role]\ncredential_process = cat {tmp_path}/said\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "role")
    return given["Expiration"].timestamp()


def test_the_chain_says_when_its_credentials_end(temporary):
    assert CredentialChain()().expires_at == temporary


@pytest.mark.parametrize("own_reader", [True, False])
def test_a_link_says_when_its_credentials_end(temporary, s3_server, bucket, own_reader):
    settings = Settings(
        index_url="memory://",
        blobs_url=f"s3://{bucket}/root",
        s3_endpoint=s3_server.endpoint,
        secret_key="k" * 32,
        s3_sign_profile="role" if own_reader else "",
    )
    store = connect(settings)
    artifact = store.put(b"content", name="a.txt")

    link = store.link(artifact, expires_in_s=7_200)

    assert time.time() < link.expires_at <= temporary
    assert httpx.get(link.url).content == b"content"
