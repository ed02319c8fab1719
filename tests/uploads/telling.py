"""Helpers: a MinIO that publishes bucket events to RabbitMQ, and workers that consume them."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import boto3
import httpx
from botocore.config import Config
from kombu import Connection
from minio import Minio, MinioAdmin
from minio.credentials import StaticProvider
from minio.notificationconfig import NotificationConfig, PrefixFilterRule, QueueConfig

import _install
from resultstore import Settings
from resultstore.backends.celery.worker.bucket_events import events_queue
from resultstore.ops.embedded import free_port

REPOSITORY = Path(__file__).parents[2]
BUCKET = "uploads"


@dataclass
class OwnMinio:
    """A MinIO that no other test uses."""

    endpoint: str
    access_key: str = "events"
    secret_key: str = "events-secret"

    @property
    def s3(self):
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )

    @property
    def sdk(self) -> Minio:
        host = self.endpoint.removeprefix("http://")
        return Minio(host, access_key=self.access_key, secret_key=self.secret_key, secure=False)

    @property
    def admin(self) -> MinioAdmin:
        host, provider = self.endpoint.removeprefix("http://"), StaticProvider(self.access_key, self.secret_key)
        return MinioAdmin(endpoint=host, credentials=provider, secure=False)


@contextmanager
def own_minio(folder: Path, *, certificates: Path | None = None, **variables: str) -> Iterator[OwnMinio]:
    """A MinIO on a folder of its own, with these further variables; it speaks TLS where there are `certificates`."""
    server = OwnMinio(f"{'https' if certificates else 'http'}://127.0.0.1:{free_port()}")
    secure = ["--certs-dir", certificates] if certificates else []
    base = {"MINIO_ROOT_USER": server.access_key, "MINIO_ROOT_PASSWORD": server.secret_key, "MINIO_UPDATE": "off"}
    address = server.endpoint.partition("://")[2]
    with (folder / "minio.log").open("wb") as log:
        process = subprocess.Popen(
            [_install.programs().minio, "server", "--quiet", *secure, "--address", address, folder / "data"],
            env={"PATH": os.defpath, "HOME": str(folder), "MINIO_BROWSER": "off"} | base | variables,
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: _answers(f"{server.endpoint}/minio/health/ready"), "MinIO is ready")
        yield server
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def telling(folder: Path, settings: Settings) -> Iterator[OwnMinio]:
    """A MinIO that publishes what arrives, confirmed, kept in a folder while RabbitMQ is away."""
    asked = {
        "ENABLE": "on",
        "URL": settings.broker.url,
        "EXCHANGE": settings.bucket_events.exchange,
        "EXCHANGE_TYPE": "fanout",
        "DURABLE": "on",
        "DELIVERY_MODE": "2",
        "PUBLISHING_CONFIRMS": "on",  # so in the environment; `publisher_confirms` in its configuration
        "QUEUE_DIR": str(folder / "queue"),
    }
    (folder / "queue").mkdir()
    with Connection(settings.broker.url) as connection:
        events_queue(settings)(connection.default_channel).declare()  # bound first: what is unroutable is lost
    with own_minio(folder, **{f"MINIO_NOTIFY_AMQP_{name}_RS": value for name, value in asked.items()}) as server:
        server.s3.create_bucket(Bucket=BUCKET)
        rule = QueueConfig(
            ["s3:ObjectCreated:*"], queue="arn:minio:sqs::RS:amqp", prefix_filter_rule=PrefixFilterRule("root/uploads/")
        )
        server.sdk.set_bucket_notification(BUCKET, NotificationConfig(queue_config_list=[rule]))
        yield server
    with Connection(settings.broker.url) as connection:
        bound = events_queue(settings)(connection.default_channel)
        bound.delete()
        bound.exchange.delete()


class Worker:
    """A worker for the length of the block; shows the end of its log."""

    def __init__(
        self, settings: Settings, log: Path, *, app: str = "resultstore_tasks.app", pool: str = "prefork", **more: str
    ):
        self.log = log
        self._settings = settings
        self._command = [sys.executable, "-m", "celery", "-A", app, "worker", "--pool", pool, "--concurrency", "1"]
        self._environment = {**os.environ, **more, "RESULTSTORE_BROKER_QUEUE": settings.broker.queue}

    def __enter__(self) -> Self:
        name = ["--hostname", f"{uuid.uuid4().hex}@%h", "--loglevel", "INFO", "--without-mingle", "--without-gossip"]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*self._command, *name],
                cwd=REPOSITORY,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            sys.stdout.write(self.log.read_text()[-8_000:])

    def starts_of(self, result_id: str) -> int:
        """How often it was given the task of this id."""
        return self.log.read_text().count(f"[{result_id}] received")


def events_waiting(settings: Settings) -> int:
    """How many events no worker has taken."""
    with Connection(settings.broker.url) as connection:
        return events_queue(settings)(connection.default_channel).queue_declare(passive=True).message_count


def publish(settings: Settings, *bodies: bytes) -> None:
    """Publish `bodies`, as any client of the exchange can."""
    with Connection(settings.broker.url) as connection:
        for body in bodies:
            connection.Producer().publish(
                body, exchange=settings.bucket_events.exchange, content_type="application/json"
            )


def until(holds: Callable[[], bool], what: str, *, timeout_s: float = 60) -> None:
    """Wait until it holds."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
