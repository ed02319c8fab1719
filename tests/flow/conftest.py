"""Whole stores on the real servers."""

import pytest

from resultstore import Settings, Store, connect


@pytest.fixture
def settings(s3_server, bucket: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """MinIO, and a database of Redis that is ours alone."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    own = redis_url.rsplit("/", 1)[0] + "/7"
    return Settings(index_url=own, blobs_url=f"s3://{bucket}/root", s3_endpoint=s3_server.endpoint, secret_key="k" * 32)


@pytest.fixture
def store(settings: Settings) -> Store:
    return connect(settings)
