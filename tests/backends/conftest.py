"""The environment of every backend's worker: RabbitMQ, Redis, and a bucket in MinIO for each test module."""

import uuid
from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config


@pytest.fixture(scope="module")
def further() -> dict[str, str]:
    """The variables that a backend adds or changes."""
    return {}


@pytest.fixture(scope="module")
def environment(redis_url: str, amqp_url: str, s3_server, further) -> Iterator[dict[str, str]]:
    """The variables of the worker, set in this process too."""
    name = f"test-{uuid.uuid4().hex}"
    made = boto3.resource(
        "s3",
        endpoint_url=s3_server.endpoint,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    ).create_bucket(Bucket=name)
    wanted = {
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "RESULTSTORE_BLOBS_URL": f"s3://{name}/root",
        "RESULTSTORE_S3_ENDPOINT": s3_server.endpoint,
        "RESULTSTORE_SECRET_KEY": "k" * 32,
        "RS_TEST_QUEUE": f"queue-{uuid.uuid4().hex}",
        "RS_TEST_REDIS_URL": redis_url,
        "RS_TEST_AMQP_URL": amqp_url,
        **further,
    }
    with pytest.MonkeyPatch.context() as patch:
        for key, value in wanted.items():
            patch.setenv(key, value)
        yield wanted
    made.objects.all().delete()
    made.delete()
