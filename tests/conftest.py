"""Servers: the real Redis, RabbitMQ and MinIO that `scripts/services run` has started for this test run."""

import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import boto3
import pytest
from botocore.config import Config

from resultstore.blobs.s3.credentials import Credentials, CredentialSource
from resultstore.blobs.s3.driver import S3Blobs
from resultstore.blobs.s3.target import S3Target


@dataclass(frozen=True)
class S3Server:
    """Where the object store answers, and with what credentials."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)


# A test that uses one of these fixtures, directly or through another, needs a server or a program beyond Python.
SERVER_FIXTURES = frozenset(
    {
        *("redis_url", "amqp_url", "s3_server", "cluster_url", "broker_url", "server"),
        *("private_server", "guarded_redis", "tls_redis", "redis_server", "new_checkout"),
        *("small_disk", "validator"),  # root, to mount a file system; a program that Go builds
    }
)
SERVER_PARAMETERS = ("s3", "redis", "minio")  # how the parameters of fixtures begin that start one by its name


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker here too: the conformance suites run by their projects' own configuration."""
    config.addinivalue_line("markers", "servers: needs a server or another program")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test that needs a server, so that `make quick` leaves it out. Its fixtures decide, not its author."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {}).values()
        named = any(isinstance(one, str) and one.startswith(SERVER_PARAMETERS) for one in parameters)
        if named or SERVER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.servers)


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Pytest's own, also after a test whose server or worker has set up logging in this process."""
    logging.disable(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith("resultstore") and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
    caplog.set_level(logging.INFO)
    return caplog


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A real Redis. Other tests use it too: keep to keys of your own."""
    return _address_of("RS_TEST_REDIS_URL")


@pytest.fixture(scope="session")
def amqp_url() -> str:
    """A real RabbitMQ. Other tests use it too: keep to queues of your own."""
    return _address_of("RS_TEST_AMQP_URL")


@pytest.fixture(scope="session")
def s3_server() -> S3Server:
    """A real MinIO."""
    names = ("RS_TEST_S3_ENDPOINT", "RS_TEST_S3_ACCESS_KEY", "RS_TEST_S3_SECRET_KEY")
    return S3Server(*(_address_of(name) for name in names))


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[str]:
    """A fresh bucket's name; the bucket is emptied and removed afterwards."""
    resource = boto3.resource(
        "s3",
        endpoint_url=s3_server.endpoint,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    made = resource.create_bucket(Bucket=f"test-{uuid.uuid4().hex}")
    yield made.name
    made.objects.all().delete()
    made.delete()


@pytest.fixture
def s3_credentials(s3_server: S3Server) -> CredentialSource:
    """What signs requests to the real MinIO."""
    return lambda: Credentials(s3_server.access_key, s3_server.secret_key)


@pytest.fixture
def s3_target(s3_server: S3Server, bucket: str) -> S3Target:
    """A fresh bucket of the real MinIO, below a root of two segments."""
    return S3Target(bucket=bucket, prefix="some/root", endpoint_url=s3_server.endpoint)


@pytest.fixture
def s3_blobs(s3_target: S3Target, s3_credentials: CredentialSource) -> S3Blobs:
    """An empty store in a fresh bucket."""
    return S3Blobs(s3_target, credentials=s3_credentials)


def _address_of(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        pytest.fail(f"{name} is not set: run the tests by `make test`, or `scripts/services run -- .venv/bin/pytest`")
    return value
