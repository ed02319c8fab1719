"""Fixtures of the uploads' tests: a gateway on real sockets over MinIO or a folder, Redis, and RabbitMQ."""

import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from celery import Celery

from resultstore import Settings, Store, connect
from resultstore.backends.celery.dispatching import CeleryDispatcher
from resultstore.gateway.app import create_app
from resultstore.gateway.local_bytes.app import create_bytes_app
from resultstore_tasks.app import make_app
from resultstore_tasks.offers import offers
from resultstore_tasks.samples import photos
from tests.gateway.conftest import running

_RESERVED: dict[int, socket.socket] = {}

# For what does not depend on the store.
once = pytest.mark.parametrize("blobs_url", ["local"], indirect=True)


@dataclass
class Place:
    """A gateway with uploads, the store below it, and the queue that its tasks are sent to."""

    gateway: httpx.Client
    store: Store
    app: Celery
    dispatcher: CeleryDispatcher

    def ticket(self, **asked) -> dict:
        """A ticket for the photo, unless asked for otherwise."""
        wanted = {"name": "china.jpg", "media_type": "image/jpeg", "task": "images.resize", "options": {}, **asked}
        answer = self.gateway.post("/v1/uploads", json=wanted)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def complete(self, ticket: dict) -> httpx.Response:
        return self.gateway.post(f"/v1/uploads/{ticket['id']}/complete", json={})

    def waiting(self) -> int:
        """How many messages wait for a worker."""
        with self.app.connection_for_write() as connection:
            queue = self.app.amqp.queues[self.app.conf.task_default_queue].bind(connection.default_channel)
            return queue.queue_declare(passive=False).message_count


def send(ticket: dict, body: bytes, **headers: str) -> httpx.Response:
    """The bytes, as the ticket says."""
    return httpx.put(ticket["url"], content=body, headers={**ticket["headers"], **headers})


def send_parts(ticket: dict, body: bytes, numbers: set[int] | None = None) -> None:
    """The parts of a large file, all or those of these numbers."""
    for one in ticket["parts"]["urls"]:
        if numbers is None or one["number"] in numbers:
            start = (one["number"] - 1) * ticket["parts"]["part_size_bytes"]
            part = body[start : start + one["size_bytes"]]
            httpx.put(one["url"], content=part, headers=one["headers"], timeout=30).raise_for_status()


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A JPEG of 640 x 427 pixels."""
    return photos()[0].content


def environment(redis_url: str, amqp_url: str, s3_server, blobs_url: str) -> dict[str, str]:
    """The variables of a gateway and a worker of our own; Celery's backend finds its settings there."""
    gateway_port, bytes_port = _reserved_ports()
    return {
        "RESULTSTORE_INDEX_URL": redis_url,
        "RESULTSTORE_INDEX_PREFIX": f"{uuid.uuid4().hex}:",
        "RESULTSTORE_BLOBS_URL": blobs_url,
        "RESULTSTORE_BROKER_URL": amqp_url,
        "RESULTSTORE_S3_ENDPOINT": s3_server.endpoint,
        "RESULTSTORE_SECRET_KEY": "k" * 32,
        "RESULTSTORE_GATEWAY_PORT": str(gateway_port),
        "RESULTSTORE_BYTES_PORT": str(bytes_port),
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
    }


@pytest.fixture(params=["local", "s3"])
def blobs_url(request, tmp_path) -> str:
    """Each kind of object store."""
    return f"file://{tmp_path}/blobs" if request.param == "local" else f"s3://{request.getfixturevalue('bucket')}/root"


@pytest.fixture
def settings(redis_url, amqp_url, s3_server, blobs_url, monkeypatch) -> Settings:
    for name, value in environment(redis_url, amqp_url, s3_server, blobs_url).items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.fixture
def place(settings) -> Iterator[Place]:
    """A gateway with uploads; no worker runs."""
    with serving(settings) as place:
        yield place


@contextmanager
def serving(settings: Settings) -> Iterator[Place]:
    """A gateway with uploads, and the bytes of a folder."""
    app = make_app(settings)
    if settings.broker.queue == "celery":  # the default, which every test would share
        app.conf.task_default_queue = f"queue-{uuid.uuid4().hex}"
    store, dispatcher = connect(settings), CeleryDispatcher(app)
    listeners = [(create_app(store, dispatcher=dispatcher, offers=offers), _listening(settings.gateway.port))]
    if settings.blobs.url.startswith("file"):
        listeners.append((create_bytes_app(store.blobs, store.signer), _listening(settings.local_bytes.port)))
    url = f"http://127.0.0.1:{settings.gateway.port}"
    with running(*listeners), httpx.Client(base_url=url, timeout=30) as gateway:
        yield Place(gateway, store, app, dispatcher)
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(app.conf.task_default_queue)


def _reserved_ports() -> list[int]:
    """Return two ports, reserved until the next call."""
    while _RESERVED:
        _RESERVED.popitem()[1].close()
    for _ in range(2):
        one = socket.create_server(("127.0.0.1", 0))
        _RESERVED[one.getsockname()[1]] = one
    return list(_RESERVED)


def _listening(port: int) -> socket.socket:
    reserved = _RESERVED.pop(port, None)
    return socket.create_server(("127.0.0.1", port)) if reserved is None else reserved
