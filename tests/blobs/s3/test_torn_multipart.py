"""A store that keeps less of a multipart upload than was sent is found out."""

import urllib.request
from collections.abc import Iterator

import msgspec
import pytest

from resultstore import BadReference, ChecksumMismatch, Settings, connect
from resultstore.blobs.blobstore import Part
from resultstore.blobs.s3.driver import S3Blobs
from resultstore.blobs.s3.signer import S3Signer
from resultstore.blobs.s3.target import S3Target
from resultstore.ops.provision import provision
from tests.weakstore import Lack, Weak, weak_store

MIB = 1 << 20
LARGE = [bytes([number]) * MIB for number in range(20)]
KEY = "blobs/1d/00/job/" + "0" * 32 + ".0"


@pytest.fixture
def torn(s3_server) -> Iterator[Weak]:
    with weak_store(s3_server.endpoint, (s3_server.access_key, s3_server.secret_key), Lack.LAST_PART) as weak:
        yield weak


@pytest.fixture
def target(s3_target: S3Target, torn: Weak) -> S3Target:
    return msgspec.structs.replace(s3_target, endpoint_url=torn.url)


@pytest.mark.parametrize("hint", [None, 20 * MIB])
def test_torn_upload_of_ours_is_an_error(target: S3Target, s3_credentials, s3_blobs: S3Blobs, torn: Weak, hint):
    blobs = S3Blobs(target, credentials=s3_credentials)

    with pytest.raises(ChecksumMismatch, match=rf"{20 * MIB} bytes were sent, the store keeps"):
        blobs.put(KEY, LARGE, media_type="a/b", size_hint_bytes=hint)

    assert torn.fired[Lack.LAST_PART] == 1
    assert 0 < s3_blobs.stat(KEY).size_bytes < 20 * MIB, "the store has torn nothing"


def test_nothing_torn_is_sealed(s3_target: S3Target, s3_server, s3_blobs: S3Blobs, torn: Weak, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    settings = Settings(
        index_url="memory://",
        blobs_url=f"s3://{s3_target.bucket}/{s3_target.prefix}",
        s3_endpoint=torn.url,
        secret_key="k" * 32,
        accept_forgeable_store=True,
    )
    provision(settings)

    with pytest.raises(ChecksumMismatch, match="the store keeps"):
        connect(settings).put(iter(LARGE), id="job")

    assert torn.fired[Lack.LAST_PART] == 1
    assert connect(settings).load("job") is None
    assert list(s3_blobs.list("seals/")) == []


def test_torn_upload_of_a_client_is_refused(target: S3Target, s3_credentials, torn: Weak):
    # given
    blobs = S3Blobs(target, credentials=s3_credentials)
    signer = S3Signer(target, credentials=s3_credentials)
    upload_id = blobs.begin_parts(KEY, media_type="a/b")
    parts: list[Part] = []
    for number, size_bytes in enumerate([5 * MIB, 1_000], start=1):
        signed = signer.sign_part(KEY, expires_in_s=60, upload_id=upload_id, number=number, size_bytes=size_bytes)
        request = urllib.request.Request(signed.url, data=bytes(size_bytes), headers=signed.headers, method="PUT")
        with urllib.request.urlopen(request, timeout=30) as answer:
            parts.append(Part(number=number, size_bytes=size_bytes, etag=answer.headers["etag"].strip('"')))

    # when
    with pytest.raises(BadReference, match=rf"holds {5 * MIB} bytes, not the {5 * MIB + 1_000}"):
        blobs.complete_parts(KEY, upload_id=upload_id, parts=parts)

    # then
    assert torn.fired[Lack.LAST_PART] == 1
