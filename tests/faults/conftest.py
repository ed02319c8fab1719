"""A store on the real servers, with a proxy in between that injects faults."""

import uuid
from collections.abc import Iterator

import pytest

from resultstore import Settings, Store, connect
from resultstore.ops.provision import provision
from tests.faults.proxy import Proxy, proxy_before


@pytest.fixture
def proxy(s3_server) -> Iterator[Proxy]:
    with proxy_before(s3_server.endpoint) as one:
        yield one


@pytest.fixture
def credentials(s3_server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)


@pytest.fixture
def settings(proxy: Proxy, bucket: str, redis_url: str, credentials: None) -> Settings:
    """A place that was set up: what the store keeps is noted, and no request of a test goes to find it out."""
    settings = Settings(
        index_url=redis_url,
        blobs_url=f"s3://{bucket}/root",
        s3_endpoint=proxy.url,
        secret_key="k" * 32,
        commit_budget_s=3,
        accept_forgeable_store=True,
    )
    provision(settings)
    proxy.seen.clear()
    return settings


@pytest.fixture
def store(settings: Settings) -> Store:
    return connect(settings)


@pytest.fixture
def straight(s3_server, bucket: str, redis_url: str, credentials: None) -> Store:
    """The same store without the proxy: what is really there."""
    return connect(
        Settings(
            index_url=redis_url, blobs_url=f"s3://{bucket}/root", s3_endpoint=s3_server.endpoint, secret_key="k" * 32
        )
    )


@pytest.fixture
def job() -> str:
    return f"job-{uuid.uuid4().hex}"
