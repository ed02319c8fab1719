"""Fixtures of the tests of blobs: a folder, and S3 behind a proxy that fails on request."""

import msgspec
import pytest

from resultstore.blobs.obstore.client import TimeLimits
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.blobs.s3.driver import S3Blobs
from tests.blobs.s3.shaky import KEY, QUICK
from tests.faults.proxy import proxy_before


@pytest.fixture
def root(tmp_path):
    """The folder of a local store, not made yet."""
    return tmp_path / "blobs"


@pytest.fixture
def proxy(s3_server):
    with proxy_before(s3_server.endpoint) as one:
        yield one


@pytest.fixture
def shaky(s3_target, s3_credentials, proxy):
    """The store of `s3_blobs`, reached through the proxy."""
    target = msgspec.structs.replace(s3_target, endpoint_url=proxy.url)
    return S3Blobs(target, credentials=s3_credentials, retries=QUICK, limits=TimeLimits(idle_s=1.0))


@pytest.fixture
def unfinished(s3_target, s3_credentials):
    """How many uploads the server holds open under a key, asked by exact key (MinIO lists no other way)."""
    client = S3Bucket(s3_target, credentials=s3_credentials).client()
    name = s3_target.object_key(KEY)
    return lambda: len(client.list_multipart_uploads(Bucket=s3_target.bucket, Prefix=name).get("Uploads", []))
