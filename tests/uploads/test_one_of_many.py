"""One of many: an upload that cannot be read, finished or looked up never keeps the others waiting."""

import hashlib
import shutil
import time
import uuid
from types import SimpleNamespace

import msgspec
import pytest
from kombu import Connection, Producer

from resultstore.backends.celery.worker.bucket_events import BucketEventConsumer, events_queue
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.blobs.s3.credentials import Credentials
from resultstore.blobs.s3.target import S3Target
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.settings import Settings
from resultstore.uploads import reconcile
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.reconcile import Reconciler
from resultstore.uploads.ticket import TicketStore
from tests.index.redis.conftest import self_signed
from tests.uploads.conftest import environment, once, send, serving
from tests.uploads.telling import own_minio, until

OTHERS = 12  # more than the failures in a row after which a round ends
DAY_S = 86_400


def reconciler_of(place) -> Reconciler:
    return Reconciler(place.store, UploadCompleter(place.store, dispatcher=place.dispatcher))


def key_of(place, ticket: dict) -> str:
    return TicketStore(place.store).find(ticket["id"]).key


@pytest.fixture
def tls_place(redis_url, amqp_url, tmp_path, monkeypatch):
    """A gateway over a MinIO that speaks TLS, without which a client may not encrypt with its own key."""
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    key, certificate = self_signed(tmp_path)
    shutil.copy(key, certificates / "private.key")
    shutil.copy(certificate, certificates / "public.crt")
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, certificate)
    with own_minio(tmp_path, certificates=certificates) as minio:
        minio.s3.create_bucket(Bucket="bucket")
        for name, value in environment(redis_url, amqp_url, minio, "s3://bucket/root").items():
            monkeypatch.setenv(name, value)
        with serving(Settings()) as place:
            place.minio = minio
            yield place


def test_an_object_only_its_sender_reads_stops_nobody(tls_place, photo):
    tickets = [tls_place.ticket(size_bytes=len(photo)) for _ in range(OTHERS + 1)]
    hidden, *others = tickets
    tls_place.minio.s3.put_object(
        Bucket="bucket",
        Key=f"root/{key_of(tls_place, hidden)}",
        Body=photo,
        SSECustomerAlgorithm="AES256",
        SSECustomerKey="k" * 32,
    )
    for one in others:
        tls_place.store.blobs.put(key_of(tls_place, one), [photo], media_type="image/jpeg")

    done = reconciler_of(tls_place).run()

    assert done.completed == OTHERS + 1
    assert tls_place.waiting() == OTHERS
    failure = tls_place.gateway.get(f"/v1/results/{hidden['id']}").json()["failure"]
    assert (failure["type"], "only its sender" in failure["message"]) == ("UploadRejected", True)
    assert len(list(tls_place.store.blobs.list("uploads/"))) == OTHERS


@pytest.mark.parametrize("blobs_url", ["s3"], indirect=True)
def test_an_object_with_a_chosen_date_is_refused(place, bucket, s3_server, photo):
    ticket = place.ticket(size_bytes=len(photo))
    client = S3Bucket(
        S3Target(bucket=bucket, endpoint_url=s3_server.endpoint),
        credentials=lambda: Credentials(s3_server.access_key, s3_server.secret_key),
    ).client()
    client.meta.events.register(
        "before-sign.s3.PutObject",
        lambda request, **_: request.headers.add_header("x-minio-source-mtime", "2047-01-01T00:00:00Z"),
    )
    client.put_object(Bucket=bucket, Key=f"root/{key_of(place, ticket)}", Body=photo)
    dated_s = place.store.blobs.stat(key_of(place, ticket)).modified_at
    assert dated_s > time.time() + 10 * DAY_S, "the store has taken the date"

    reconciler_of(place).run()

    assert place.gateway.get(f"/v1/results/{ticket['id']}").json()["failure"]["type"] == "UploadRejected"
    assert list(place.store.blobs.list("uploads/")) == []


@once
def test_an_upload_whose_store_always_fails_stops_nobody(place, monkeypatch, photo):
    # given one key of which the store says each time that it is away, which no store of ours can be made to do
    tickets = [place.ticket(size_bytes=len(photo)) for _ in range(4)]
    for one in tickets:
        send(one, photo)
    bad = key_of(place, tickets[0])
    whole = place.store.blobs.stat

    def stat(key: str):
        if key == bad:
            raise BlobStoreUnavailable("no answer")
        return whole(key)

    monkeypatch.setattr(place.store.blobs, "stat", stat)
    reconciler = reconciler_of(place)

    assert [reconciler.run().completed for _ in range(2)] == [3, 0]
    monkeypatch.undo()
    assert reconciler.run().completed == 1


@once
@pytest.mark.parametrize("harm", ["forged", "damaged", "newer", "another kind of value"])
def test_a_ticket_that_cannot_be_read_stops_nobody(place, harm, photo):
    tickets = [place.ticket(size_bytes=len(photo)) for _ in range(4)]
    for one in tickets:
        send(one, photo)
    bad, index = tickets[0]["id"], place.store.index
    key = layout.ticket_key(bad)
    if harm == "forged":
        index.keys.keep(key, b"0" * 32 + index.keys.read(key)[32:], ttl_s=60)
    elif harm == "another kind of value":
        index.keys.drop(key)
        index.client.rpush(index._names.prefix + key, "x")
    else:
        document = b"\xc1" if harm == "damaged" else msgspec.msgpack.encode({"id": 7})
        signed = place.store.signatures.macs.sign("ticket", bad, hashlib.sha256(document).hexdigest()).encode()
        index.keys.keep(key, signed + document, ttl_s=60)

    assert reconciler_of(place).run().completed == 3
    assert place.waiting() == 3


@once
def test_foreign_file_does_not_stop_the_collection(place, settings, photo):
    orphan = layout.upload_key("nobody-knows-it", retention="1d", nonce=layout.new_nonce())
    place.store.blobs.put(orphan, [photo], media_type="image/jpeg")
    place.store.blobs.put("uploads/readme.txt", [b"?"], media_type="text/plain")
    place.store.blobs.put("uploads/1d/zz", [b"?"], media_type="text/plain")
    whole = place.store.blobs.now
    place.store.blobs.now = lambda: whole() + 8 * DAY_S

    assert reconciler_of(place).run().orphans == 1
    assert {one.key for one in place.store.blobs.list("uploads/")} == {"uploads/readme.txt", "uploads/1d/zz"}


@once
def test_reconciling_goes_on_after_any_error(place, monkeypatch, photo):
    reconciler, calls = reconciler_of(place), []
    monkeypatch.setattr(reconcile, "POLL_S", 0.05)
    monkeypatch.setattr(reconciler, "poll_untracked", lambda: calls.append(1) or 1 / 0)

    with reconciler.run_in_background():
        until(lambda: len(calls) > 2, "more than one poll")


def test_an_event_that_fails_ends_no_worker(amqp_url):
    name = uuid.uuid4().hex
    settings = Settings(
        broker_url=amqp_url, broker_queue=name, bucket_events_exchange=name, blobs_url="s3://uploads/root"
    )
    sent = []

    def send_task(task, args, **_):
        sent.append(args[0])
        if args[0].startswith("bad"):
            raise ValueError("no connection's error")

    parent = SimpleNamespace(app=SimpleNamespace(send_task=send_task), connection_errors=(), channel_errors=())
    step = BucketEventConsumer(parent, settings=settings)
    with Connection(amqp_url) as connection, connection.channel() as channel:
        [consumer] = step.get_consumers(channel)
        producer = Producer(channel, exchange=events_queue(settings).exchange)
        with consumer:
            for one in ("bad-1", "good-2"):
                key = layout.upload_key(one, retention="1d", nonce=layout.new_nonce())
                record = {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": "uploads"}}}
                record["s3"]["object"] = {"key": f"root/{key}"}
                producer.publish({"Records": [record]}, serializer="json")
            while len(sent) < 2:
                connection.drain_events(timeout=30)
        bound = events_queue(settings)(channel)
        assert bound.queue_declare(passive=True).message_count == 0
        bound.delete()
        bound.exchange.delete()

    assert sent == ["bad-1", "good-2"]
