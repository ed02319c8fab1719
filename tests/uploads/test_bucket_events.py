"""Bucket events: a real MinIO publishes to RabbitMQ, and a real worker completes each upload once."""

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import _local
import _server
from _child_processes import ChildProcesses
from _install import programs
from resultstore import Settings
from resultstore.backends.celery.worker.bucket_events import TASK
from resultstore.model.errors import BadInput, Misconfigured
from resultstore.uploads.notices import arrivals
from resultstore.uploads.ticket import TicketStore
from resultstore_tasks.app import make_app
from tests.uploads.conftest import Place, environment, send, serving
from tests.uploads.telling import Worker, events_waiting, publish, telling, until

KEY = "uploads/30d/ab/0f0e0d0c-0000-4000-8000-000000000000/" + "0" * 32
EVENT = (
    b'{"Records":[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"%s"},'
    b'"object":{"key":"%s","size":%d,"sequencer":"%s"}}}]}'
)

pytestmark = pytest.mark.timeout(240)


def event(key: str, *, bucket: str = "uploads", size: int = 1, sequencer: str = "00") -> bytes:
    return EVENT % (bucket.encode(), key.replace("/", "%2F").encode(), size, sequencer.encode())


def test_an_event_names_the_upload_that_has_arrived():
    ids = ["0f0e0d0c-0000-4000-8000-000000000000"]
    assert arrivals(event(f"root/{KEY}"), bucket="uploads", root="root") == ids
    assert arrivals(event(KEY).replace(b"s3:Object", b"Object"), bucket="uploads", root="") == ids
    assert arrivals(event(f"a+b%C3%A9/{KEY}"), bucket="uploads", root="a bé") == ids, "keys are encoded as in a form"


@pytest.mark.parametrize(
    "key",
    ["seals/ab/x", "other/" + KEY, "root/blobs/" + KEY[8:], "root/uploads/../seals/ab/x", "root/uploads/a+b", "root"],
)
def test_keys_that_are_no_uploads_are_passed_over(key):
    assert arrivals(event(key), bucket="uploads", root="root") == []


def test_other_buckets_and_other_events_are_passed_over():
    assert arrivals(event(f"root/{KEY}"), bucket="other", root="root") == []
    gone = event(f"root/{KEY}").replace(b"Created:Put", b"Removed:Delete")
    assert arrivals(gone, bucket="uploads", root="root") == []


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"Records":7}', b"[" * 50_000, b" " * (1 << 20) + b"{}"])
def test_what_is_no_event_is_refused(body):
    with pytest.raises(BadInput):
        arrivals(body, bucket="uploads", root="root")


@pytest.mark.parametrize("wrong", [{"broker_url": "redis://127.0.0.1/0"}, {"blobs_url": "file:///tmp/blobs"}])
def test_events_need_rabbitmq_and_a_bucket(wrong):
    asked = {"broker_url": "amqp://127.0.0.1//", "blobs_url": "s3://uploads", "bucket_events_exchange": "e", **wrong}
    with pytest.raises(Misconfigured, match="the reconciler completes"):
        make_app(Settings(**asked))


@contextmanager
def place_that_is_told(redis_url: str, amqp_url: str, folder: Path) -> Iterator[tuple[Place, Settings]]:
    """Yield a gateway over a MinIO that notifies this RabbitMQ of uploads; without worker and reconciler."""
    name = uuid.uuid4().hex
    own = {"RESULTSTORE_BROKER_QUEUE": f"queue-{name}", "RESULTSTORE_BUCKET_EVENTS_EXCHANGE": f"events-{name}"}
    asked = Settings(broker_url=amqp_url, broker_queue=f"queue-{name}", bucket_events_exchange=f"events-{name}")
    with pytest.MonkeyPatch.context() as patch, telling(folder, asked) as minio:
        for key, value in (environment(redis_url, amqp_url, minio, "s3://uploads/root") | own).items():
            patch.setenv(key, value)
        settings = Settings()
        with serving(settings) as place:
            yield place, settings


@pytest.fixture(scope="module")
def told(redis_url, amqp_url, tmp_path_factory) -> Iterator[tuple[Place, Settings, Worker]]:
    """Yield the same with a worker that consumes the notifications."""
    folder = tmp_path_factory.mktemp("told")
    with (
        place_that_is_told(redis_url, amqp_url, folder) as (place, settings),
        Worker(settings, folder / "worker.log") as worker,
    ):
        yield place, settings, worker


def small_worker(settings: Settings, log: Path, **more: str) -> Worker:
    return Worker(settings, log, app="tests.uploads.small_app", pool="solo", **more)


def finished(place: Place, photo: bytes) -> dict:
    """An upload whose client vanished when its bytes were sent, and which was finished all the same."""
    ticket = place.ticket(size_bytes=len(photo), options={"widths": [80]})
    send(ticket, photo).raise_for_status()
    done = place.store.wait(ticket["id"], timeout_s=90)
    assert done.state == "SUCCESS", done.failure
    return ticket


def key_of(place: Place, ticket: dict) -> str:
    return f"root/{TicketStore(place.store).find(ticket['id']).key}"


def test_store_event_finishes_a_vanished_clients_upload(told, photo):
    place, _, worker = told

    ticket = finished(place, photo)

    done = place.store.load(ticket["id"])
    assert [one.name for one in done.artifacts] == ["input", "china-80.webp"]
    assert place.complete(ticket).status_code == 202  # a client that returns gets the same answer
    assert place.store.load(ticket["id"]).nonce == done.nonce
    assert worker.starts_of(ticket["id"]) == 1


def test_repeated_and_older_events_start_nothing(told, photo):
    place, settings, worker = told
    ticket = place.ticket(size_bytes=len(photo), options={"widths": [80]})
    key = key_of(place, ticket)

    send(ticket, photo).raise_for_status()
    publish(settings, *(event(key, sequencer=f"{n:x}") for n in range(5, 0, -1)))
    place.store.wait(ticket["id"], timeout_s=90)
    publish(settings, *(event(key, sequencer=f"{n:x}") for n in range(3)))
    finished(place, photo)  # all that was published before it has been consumed

    assert worker.starts_of(ticket["id"]) == 1
    assert worker.log.read_text().count(f"{TASK}[") >= 8, "each event was handed on"


def test_events_that_somebody_made_up_are_harmless(told, photo):
    place, settings, worker = told
    open_one, torn = (place.ticket(size_bytes=len(photo), options={"widths": [80]}) for _ in range(2))
    key = key_of(place, open_one)
    # bytes of another length under the key of a ticket: no signed URL allows them
    place.store.blobs.put(key_of(place, torn).removeprefix("root/"), [photo[:-1]], media_type="image/jpeg")

    publish(
        settings,
        *(b"\xff\xfe", b"[]", b"{}", b'{"Records":[{}]}'),
        event(key, size=len(photo)),  # nothing has arrived
        event(key, bucket="another"),
        event(key.replace("root/uploads/", "root/seals/")),
        event(f"root/{KEY}"),  # an unknown id
        event("root/uploads/../layout.json"),
    )
    finished(place, photo)

    for one in (open_one, torn):
        assert place.store.load(one["id"]).state == "UPLOADING"
        assert worker.starts_of(one["id"]) == 0
    assert worker.process.poll() is None
    for one in (open_one, torn):  # and their own senders are served as if nothing had been said
        send(one, photo).raise_for_status()
        assert place.store.wait(one["id"], timeout_s=90).state == "SUCCESS"


def test_event_is_kept_until_its_task_is_sent(redis_url, amqp_url, tmp_path, photo):
    with place_that_is_told(redis_url, amqp_url, tmp_path) as (place, settings):
        ticket = place.ticket(size_bytes=len(photo), options={"widths": [80]})
        send(ticket, photo).raise_for_status()
        until(lambda: events_waiting(settings) == 1, "MinIO has notified")

        tasks_after = {}
        for step in ("publish", "acknowledge"):
            with small_worker(settings, tmp_path / step, RS_TEST_DIES_AT=step) as worker:
                assert worker.process.wait(100) == -signal.SIGKILL
            until(lambda: events_waiting(settings) == 1, f"the event is there after the death at {step}")
            tasks_after[step] = place.waiting()
        with small_worker(settings, tmp_path / "worker.log") as worker:
            done = place.store.wait(ticket["id"], timeout_s=90)
            finished(place, photo)  # and the second task for the same event has run

        assert tasks_after == {"publish": 0, "acknowledge": 1}
        assert done.state == "SUCCESS", done.failure
        assert worker.starts_of(ticket["id"]) == 1
        assert events_waiting(settings) == 0


@pytest.mark.timeout(400)  # RabbitMQ begins twice, and its two clients come back at a pace of their own
def test_uploads_finish_after_a_rabbitmq_outage(redis_url, tmp_path, photo, monkeypatch):
    ports = _server.free_ports(4)
    monkeypatch.setattr(_local, "free_ports", lambda _: ports)  # the same again after its restart
    found, started = programs(), ChildProcesses()
    room = _local.server_folder(tmp_path / "rabbitmq", started)

    def rabbitmq() -> _server.Server:
        return _local.start_rabbitmq(room, found.rabbitmq, epmd=found.epmd)

    try:
        first = _server.answering(rabbitmq, rabbitmq())
        with (
            place_that_is_told(redis_url, first.addresses[0], tmp_path) as (place, settings),
            small_worker(settings, tmp_path / "worker.log") as worker,
        ):
            finished(place, photo)  # all of it works
            before, during = (place.ticket(size_bytes=len(photo), options={"widths": [80]}) for _ in range(2))
            os.kill(worker.process.pid, signal.SIGSTOP)  # so that an event waits in the queue
            send(before, photo).raise_for_status()
            until(lambda: not list((tmp_path / "queue").rglob("*.event*")), "MinIO has notified")
            os.killpg(first.process.pid, signal.SIGKILL)
            first.process.wait()
            os.kill(worker.process.pid, signal.SIGCONT)
            send(during, photo).raise_for_status()
            _server.answering(rabbitmq, rabbitmq())

            for ticket in (before, during):
                assert place.store.wait(ticket["id"], timeout_s=120).state == "SUCCESS"
                assert worker.starts_of(ticket["id"]) == 1
            assert worker.process.poll() is None
    finally:
        started.kill()
