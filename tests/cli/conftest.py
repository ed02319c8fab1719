"""Fixtures of the command line's tests: the program in its own process, and a MinIO after setup."""

import configparser
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from kombu import Connection

from resultstore.backends.celery.worker.bucket_events import events_queue
from resultstore.connect import connect
from resultstore.settings import Settings, attributes
from resultstore.store import Store
from tests.uploads.telling import own_minio

ROOT = "some/root"

FOREIGN = ("RESULTSTORE_", "RS_TEST_", "COLUMNS")


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def told(self) -> Any:
        """The JSON on stdout: exactly one document."""
        return json.loads(self.out)


@dataclass
class Place:
    """A folder of blobs and a Redis, as settings and as the environment of a command."""

    folder: Path
    redis_url: str

    def variables(self) -> dict[str, str]:
        return {
            "RESULTSTORE_INDEX_URL": self.redis_url,
            "RESULTSTORE_BLOBS_URL": (self.folder / "blobs").as_uri(),
            "RESULTSTORE_BROKER_URL": self.redis_url,
            "RESULTSTORE_SECRET_KEY": "a secret of the tests, 32 bytes.",
        }

    def store(self) -> Store:
        return connect(Settings.of(self.variables()))


@pytest.fixture
def place(tmp_path, redis_url) -> Place:
    return Place(tmp_path, redis_url)


@pytest.fixture
def run(place) -> Callable[..., Done]:
    """Run `resultstore ARGS...` in the place's folder; keywords are further variables, stdin its input."""

    def run(*args: str, stdin: bytes = b"", **variables: str) -> Done:
        return run_in(place.folder, place.variables() | variables, *args, stdin=stdin)

    return run


def run_in(folder: Path, variables: dict[str, str], *args: str, stdin: bytes = b"") -> Done:
    """Run `resultstore ARGS...` there, with these variables and none of ours."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    variables = {"RESULTSTORE_ACCEPT_FORGEABLE_STORE": "true"} | variables  # scripts/_access.py says why
    done = subprocess.run(
        [sys.executable, "-m", "resultstore.cli", *args],
        check=False,
        cwd=folder,
        env=rest | variables,
        input=stdin,
        capture_output=True,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr.decode())


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    with own_minio(tmp_path_factory.mktemp("minio")) as one:
        yield one


@dataclass
class Set:
    """A place on which `resultstore setup minio` has run."""

    settings: Settings
    run: Callable[..., Done]
    folder: Path
    dry: Done
    buckets_after_dry: list[str]
    first: Done

    @property
    def bucket(self) -> str:
        return self.settings.blobs.url.split("/")[2]

    def profiles(self) -> dict[str, dict[str, str]]:
        read = configparser.ConfigParser()
        read.read_string((self.folder / "minio-credentials.ini").read_text())
        return {name: dict(read[name]) for name in read.sections()}


def _value(settings: Settings, name: str) -> str:
    group, attribute = attributes()[name]
    return getattr(getattr(settings, group), attribute)


@pytest.fixture(scope="package")
def set_up(server, redis_url, amqp_url, tmp_path_factory) -> Iterator[Set]:
    """A dry run, then a true one, on a bucket and an exchange of our own."""
    name, folder = uuid.uuid4().hex, tmp_path_factory.mktemp("setup")
    settings = Settings(
        index_url=redis_url,
        broker_url=amqp_url,
        broker_queue=f"queue-{name}",
        blobs_url=f"s3://{name}/{ROOT}",
        s3_endpoint=server.endpoint,
        secret_key="k" * 32,
        bucket_events_exchange=f"events-{name}",
    )

    def run(*args: str, **more: str) -> Done:
        asked = ("blobs_url", "s3_endpoint", "broker_url", "broker_queue", "bucket_events_exchange")
        variables = {f"RESULTSTORE_{one.upper()}": _value(settings, one) for one in asked} | {
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
        }
        return run_in(folder, {**variables, **more}, "setup", "minio", *args)

    dry = run("--dry-run", "--json")
    buckets = [one["Name"] for one in server.s3.list_buckets()["Buckets"]]
    yield Set(settings, run, folder, dry, buckets, run())
    with Connection(amqp_url) as connection:
        bound = events_queue(settings)(connection.default_channel)
        bound.delete()
        bound.exchange.delete()


def client(server, profile: dict[str, str]):
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
        **profile,
    )


def refused(call) -> str:
    """The code with which a request is refused."""
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"]
