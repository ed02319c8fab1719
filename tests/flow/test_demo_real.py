"""The demo on real servers: gateway, worker and URL signing have least-privilege accounts."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from minio import MinioAdmin
from minio.credentials import StaticProvider

from resultstore import Settings, connect
from resultstore.cli.stack import Stack, running_stack
from resultstore.cli.stack_kind import StackKind
from resultstore.ops.provision import provision
from tests.uploads.telling import until

TOKEN = os.urandom(3).hex()
ACCOUNTS = {f"rs-{role}-{TOKEN}" for role in ("worker", "gateway", "reader", "uploader")}


@pytest.fixture
def root(s3_server, bucket, redis_url, amqp_url, monkeypatch) -> Settings:
    """What `scripts/services run --export-settings` gives: servers, and MinIO's root key."""
    variables = {
        "RESULTSTORE_INDEX_URL": redis_url,
        "RESULTSTORE_BROKER_URL": amqp_url,
        "RESULTSTORE_BLOBS_URL": f"s3://{bucket}/demo",
        "RESULTSTORE_S3_ENDPOINT": s3_server.endpoint,
        "RESULTSTORE_SECRET_KEY": "k" * 32,
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RS_TEST_S3_SECRET_KEY")  # of the tests themselves
    settings = Settings()
    provision(settings)
    # From here on the gateway looks at the keys that sign: MinIO carries out unsigned writes.
    monkeypatch.setenv("RESULTSTORE_ACCEPT_FORGEABLE_STORE", "false")
    return settings


@pytest.fixture
def stack(root, tmp_path) -> Iterator[Stack]:
    with running_stack(tmp_path, StackKind.REAL, token=TOKEN) as stack:
        until(lambda: answers(f"{stack.settings.gateway.url}/livez"), "the gateway answers")
        yield stack


def answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def accounts(s3_server) -> set[str]:
    provider = StaticProvider(s3_server.access_key, s3_server.secret_key)
    admin = MinioAdmin(endpoint=s3_server.endpoint.partition("://")[2], credentials=provider, secure=False)
    told = json.loads(admin.list_service_account(s3_server.access_key))
    return {one["accessKey"] for one in told["accounts"] or []} & ACCOUNTS


def environment(stack: Stack, name: str) -> str:
    [process] = [one for log, one in stack.watched.items() if log.stem == name]
    return Path(f"/proc/{process.pid}/environ").read_text()


def test_demo_processes_do_not_have_the_root_key(stack, root, s3_server):
    before = accounts(s3_server)
    gateway, worker = environment(stack, "gateway"), environment(stack, "worker")
    artifact = connect(root).put(b"%PDF-", name="a.pdf")
    link = httpx.get(f"{stack.settings.gateway.url}/v1/results/{artifact.id}/artifacts/a.pdf").headers["location"]

    assert before == ACCOUNTS
    for own, text in (("gateway", gateway), ("worker", worker)):
        assert s3_server.secret_key not in text
        assert f"AWS_ACCESS_KEY_ID=rs-{own}-{TOKEN}\0" in text
    assert f"X-Amz-Credential=rs-reader-{TOKEN}%2F" in link
    assert httpx.get(link).content == b"%PDF-"


def test_accounts_of_the_demo_go_with_it(root, s3_server, tmp_path):
    with running_stack(tmp_path, StackKind.REAL, token=TOKEN):
        there = accounts(s3_server)

    assert there == ACCOUNTS
    assert accounts(s3_server) == set()


def test_key_without_admin_rights_is_used_directly(root, s3_server, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of no administrator")

    with running_stack(tmp_path, StackKind.REAL, token=TOKEN) as stack:
        assert "AWS_SECRET_ACCESS_KEY=of no administrator\0" in environment(stack, "worker")
    assert accounts(s3_server) == set()
