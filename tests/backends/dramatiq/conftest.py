"""A real Dramatiq worker over RabbitMQ, Redis and MinIO."""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import boto3
import dramatiq
import pytest
from botocore.config import Config

from resultstore import Store
from resultstore.backends.dramatiq import store_of

HERE = Path(__file__).parent
START_LIMIT_S = 40
READY = b"ready for action"


@pytest.fixture(scope="module")
def environment(redis_url: str, amqp_url: str, s3_server) -> Iterator[dict[str, str]]:
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
        "RESULTSTORE_INDEX_URL": redis_url,
        "RESULTSTORE_S3_ENDPOINT": s3_server.endpoint,
        "RESULTSTORE_SECRET_KEY": "k" * 32,
        # kombu writes the virtual host `/` as a second slash, pika as %2F.
        "RS_TEST_AMQP_URL": amqp_url.removesuffix("//") + "/%2F",
        "RS_TEST_QUEUE": f"queue-{uuid.uuid4().hex}",
        "RS_TEST_REDIS_URL": redis_url,
    }
    with pytest.MonkeyPatch.context() as patch:
        for key, value in wanted.items():
            patch.setenv(key, value)
        yield wanted
    made.objects.all().delete()
    made.delete()


@pytest.fixture(scope="module")
def jobs(environment: dict[str, str]) -> Iterator[ModuleType]:
    """The worker's module as a client sees it."""
    before = dramatiq.get_encoder()
    spec = importlib.util.spec_from_file_location("dramatiq_jobs", HERE / "dramatiq_jobs.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["dramatiq_jobs"] = module
    spec.loader.exec_module(module)
    yield module
    dramatiq.set_encoder(before)
    for queue in list(module.broker.queues):
        for suffix in ("", ".DQ", ".XQ"):
            module.broker.channel.queue_delete(queue + suffix)
    module.broker.close()


@pytest.fixture(scope="module")
def store(jobs: ModuleType) -> Store:
    return store_of(jobs.broker)


@pytest.fixture(scope="module")
def worker(environment: dict[str, str], jobs: ModuleType) -> Iterator[None]:
    """The worker's process; it is ready when it says so."""
    with tempfile.TemporaryFile() as log:
        process = start_worker(environment, log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
            log.seek(0)
            sys.stdout.write(log.read().decode(errors="replace")[-12_000:])


def start_worker(environment: dict[str, str], log) -> subprocess.Popen[bytes]:
    """A worker of one process and two threads on the queue that RS_TEST_QUEUE names."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dramatiq", "dramatiq_jobs", "--path", str(HERE), "--processes", "1", "--threads", "2"],
        cwd=HERE.parents[2],
        env={**os.environ, **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    until = time.monotonic() + START_LIMIT_S
    while READY not in (said := os.pread(log.fileno(), 1 << 20, 0)):
        assert process.poll() is None, said.decode()
        assert time.monotonic() < until, said.decode()
        time.sleep(0.1)
    return process
