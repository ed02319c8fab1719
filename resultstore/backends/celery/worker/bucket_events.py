"""BucketEventConsumer: lets a worker complete uploads that the object store has announced.

MinIO publishes an event for each object (docs/how-to/minio.md) to an exchange of RabbitMQ. So an upload whose client
has vanished before its `complete` call is completed at once, not a minute later by the reconciler.
"""

from functools import cached_property
from typing import Any, Final

from celery import Celery, bootsteps
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError
from kombu.messaging import Consumer

from resultstore.backends.celery.dispatching import CeleryDispatcher
from resultstore.backends.celery.setup import store_of
from resultstore.blobs.s3.target import S3Target
from resultstore.model import layout
from resultstore.model.errors import (
    BadReference,
    BrokerUnavailable,
    Misconfigured,
    NotThere,
    Unavailable,
    UploadIncomplete,
)
from resultstore.settings import Settings
from resultstore.telemetry.logs import Log
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.notices import arrivals
from resultstore.uploads.ticket import TicketStore

TASK: Final = "resultstore.upload_arrived"
_PREFETCHED: Final = 20
_DECLARE_S: Final = 5
_TRIES: Final = 5  # then the reconciler finds it
_RETRY: Final = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 0.5}

_log = Log(__name__)


def install(app: Celery, settings: Settings) -> None:
    """Let the workers of `app` consume the events of the exchange RESULTSTORE_BUCKET_EVENTS_EXCHANGE.

    They have a durable queue and a consumer of their own: in its own queue, Celery would delete an event as a broken
    task. Each event becomes a small task, and is acknowledged only once the broker has that task. An event may arrive
    twice, late, or be forged. So the task runs the same checks as `complete` over HTTP.

    Args:
        app: `setup` was called with it.
        settings: names the exchange, and the bucket whose events count.

    Raises Misconfigured unless the broker is RabbitMQ and the blobs are in a bucket.
    """
    if not settings.broker.url.startswith(("amqp", "pyamqp")) or not settings.blobs.url.startswith("s3:"):
        raise Misconfigured(
            "RESULTSTORE_BUCKET_EVENTS_EXCHANGE needs amqp:// in RESULTSTORE_BROKER_URL and s3:// in "
            "RESULTSTORE_BLOBS_URL: remove it; the reconciler completes uploads without it"
        )
    # Without confirms, RabbitMQ drops what it refuses without an error.
    app.conf.broker_transport_options = {**app.conf.broker_transport_options, "confirm_publish": True}
    finisher = _UploadFinisher(app)

    @app.task(name=TASK, ignore_result=True, autoretry_for=(Unavailable,), max_retries=_TRIES, retry_backoff=True)
    def upload_arrived(upload_id: str) -> None:
        finisher.finish(upload_id)

    class Step(BucketEventConsumer):
        """The consumer for these settings; `inspect conf` would show them if they were in `app.conf`."""

        def __init__(self, parent: Any, **_: object) -> None:  # noqa: ANN401 - Celery's worker has no type
            super().__init__(parent, settings=settings)

    app.steps["consumer"].add(Step)


def events_queue(settings: Settings) -> Queue:
    """Return the durable queue of all workers, bound to the exchange that the object store publishes to.

    An event older than a day is dropped: its upload was abandoned.
    """
    name = settings.bucket_events.exchange
    exchange = Exchange(name, type="fanout", durable=True)  # type: ignore[no-untyped-call]  # kombu has types in part
    return Queue(  # type: ignore[no-untyped-call]  # the same
        f"{name}.{settings.broker.queue}", exchange, durable=True, message_ttl=float(layout.DAY_S)
    )


def declare(settings: Settings) -> None:
    """Create exchange, queue and binding before an event is published. Raises BrokerUnavailable."""
    connection: Any = Connection(settings.broker.url, connect_timeout=_DECLARE_S)  # type: ignore[no-untyped-call]
    try:
        with connection:
            events_queue(settings)(connection.default_channel).declare()  # type: ignore[no-untyped-call]
    except (OSError, KombuError, *connection.connection_errors, *connection.channel_errors) as error:
        raise BrokerUnavailable(
            f"RabbitMQ did not create the exchange {settings.bucket_events.exchange} ({type(error).__name__}): check "
            "RESULTSTORE_BROKER_URL, and delete an exchange or queue of the same name and another kind"
        ) from error


class BucketEventConsumer(bootsteps.ConsumerStep):
    """Consumes the events on the worker's own connection, and sends a task for each.

    Args:
        parent: Celery's consumer.
        settings: see `install`.
    """

    def __init__(self, parent: Any, *, settings: Settings) -> None:  # noqa: ANN401 - Celery's worker has no type
        self._app: Celery = parent.app
        self._queue = events_queue(settings)
        self._target = S3Target.at(settings.blobs.url)
        self._faults = (KombuError, *parent.connection_errors, *parent.channel_errors)
        super().__init__(parent)

    def get_consumers(self, channel: Any) -> list[Consumer]:  # noqa: ANN401 - kombu's channel has no type
        """Return the consumer of the events' queue; it declares exchange, queue and binding after each reconnect."""
        return [
            Consumer(  # type: ignore[no-untyped-call]  # kombu has types in part
                channel, queues=[self._queue], on_message=self._receive, prefetch_count=_PREFETCHED, accept=["json"]
            )
        ]

    def _receive(self, message: Any) -> None:  # noqa: ANN401 - kombu's message has no type
        """Send a task for an event, then acknowledge it: after a crash in between, the broker delivers it again."""
        try:
            ids = arrivals(_raw(message.body), bucket=self._target.bucket, root=self._target.prefix)
        except Exception as reason:  # noqa: BLE001 - an error that leaves this method ends the worker
            _log.warning("event_refused", reason=repr(reason))
            message.reject()
            return
        try:
            for one in ids:
                self._app.send_task(TASK, (one,), retry_policy=_RETRY)
        except self._faults as error:
            _log.warning("event_not_handed_on", ids=ids, reason=type(error).__name__)
            message.requeue()
            return
        except Exception as error:  # noqa: BLE001 - as above; the reconciler finds this upload
            _log.warning("event_refused", ids=ids, reason=repr(error))
            message.reject()
            return
        message.ack()


class _UploadFinisher:
    """Completes an upload like its client's `complete` call, in the worker process that runs the task."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def finish(self, upload_id: str) -> None:
        try:
            ticket = self._tickets.find(upload_id)
            if ticket is not None and not ticket.closed:
                self._completion.complete(ticket)
        except (UploadIncomplete, NotThere, BadReference) as reason:
            _log.info("event_without_upload", id=upload_id, reason=str(reason))

    @cached_property
    def _tickets(self) -> TicketStore:
        return TicketStore(store_of(self._app))

    @cached_property
    def _completion(self) -> UploadCompleter:
        return UploadCompleter(store_of(self._app), dispatcher=CeleryDispatcher(self._app))


def _raw(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)
