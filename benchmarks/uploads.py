"""uploads: the time from `complete` to the broker's confirmation, compared with the bare requests that it needs.

These are a HEAD, a read of 4 KiB and a confirmed publication. resultstore also claims the upload, notifies watchers,
checks the type, signs, and keeps the order for a retry.
"""

import os
import time
import uuid
from collections.abc import Callable
from statistics import quantiles

from celery import Celery

from benchmarks.measuring import Row, bucket, row, s3_client
from resultstore import Offer, Settings, connect
from resultstore.backends.celery import setup
from resultstore.backends.celery.dispatching import CeleryDispatcher
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.issuing import TicketIssuer
from resultstore.uploads.ticket import UploadSpec

UPLOADS = 200
PHOTO = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(100_000)
OFFERS = {"bench.photo": Offer(task="bench.photo", title="", takes=("image/jpeg",))}


def run() -> list[Row]:
    with bucket() as name:
        settings = _settings(name)
        app = _app(settings)
        try:
            ours, theirs = _p95_ms(_completions(settings, app)), _p95_ms(_bare(name, app))
        finally:
            with app.connection_for_write() as connection:
                connection.default_channel.queue_delete(app.conf.task_default_queue)
    return [row("complete_to_dispatch_ms", "ms p95", ours, "HEAD, GET, publish", theirs)]


def _settings(bucket_name: str) -> Settings:
    """Return the settings, and set them in the environment too, where Celery's backend reads them."""
    os.environ["RESULTSTORE_INDEX_URL"] = os.environ["RS_TEST_REDIS_URL"]
    os.environ["RESULTSTORE_INDEX_PREFIX"] = f"{bucket_name}:"
    os.environ["RESULTSTORE_BLOBS_URL"] = f"s3://{bucket_name}"
    os.environ["RESULTSTORE_S3_ENDPOINT"] = os.environ["RS_TEST_S3_ENDPOINT"]
    os.environ["RESULTSTORE_SECRET_KEY"] = "k" * 32
    return Settings()


def _app(settings: Settings) -> Celery:
    app = Celery("bench", broker=os.environ["RS_TEST_AMQP_URL"], backend=f"resultstore+{settings.index.url}")
    app.conf.update(task_default_queue=f"bench-{uuid.uuid4().hex}", broker_transport_options={"confirm_publish": True})
    setup(app)
    return app


def _completions(settings: Settings, app: Celery) -> list[Callable[[], object]]:
    store = connect(settings)
    issuer, completion = TicketIssuer(store, offers=OFFERS), UploadCompleter(store, dispatcher=CeleryDispatcher(app))
    asked = UploadSpec(name="a.jpg", size_bytes=len(PHOTO), media_type="image/jpeg", task="bench.photo", options={})
    made = []
    for _ in range(UPLOADS):
        ticket, _ = issuer.begin(issuer.validate(asked), owner="bench")
        store.blobs.put(ticket.key, [PHOTO], media_type="image/jpeg")
        made.append(lambda ticket=ticket: completion.complete(ticket))
    return made


def _bare(bucket_name: str, app: Celery) -> list[Callable[[], object]]:
    s3, producer = s3_client(), app.amqp.Producer(app.connection_for_write())
    s3.put_object(Bucket=bucket_name, Key="bare", Body=PHOTO)

    def once() -> None:
        s3.head_object(Bucket=bucket_name, Key="bare")
        s3.get_object(Bucket=bucket_name, Key="bare", Range="bytes=0-4095")["Body"].read()
        producer.publish(b"x" * 500, routing_key=app.conf.task_default_queue)

    once()
    return [once] * UPLOADS


def _p95_ms(steps: list[Callable[[], object]]) -> float:
    took = []
    for step in steps:
        began = time.perf_counter()
        step()
        took.append(1000 * (time.perf_counter() - began))
    return quantiles(took, n=20)[-1]
