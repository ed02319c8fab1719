"""Celery application of the shipped worker (`celery -A resultstore_tasks.app worker`)."""

from celery import Celery
from celery.signals import worker_init, worker_ready

from resultstore import Settings
from resultstore.backends.celery import bucket_events, escape_worker_logs, setup, trace_worker
from resultstore_tasks.offers import TASK_MODULES
from resultstore_tasks.sandbox.confined import hide_this_process
from resultstore_tasks.sandbox.fences import log_decoder_access

# Kept below RabbitMQ's `consumer_timeout` (30 minutes unacknowledged): with late acknowledgement a longer task
# would lose its channel and run again without end.
TASK_TIME_LIMIT_S = 25 * 60


def make_app(settings: Settings) -> Celery:
    """Return a Celery application that keeps its results in the store of `settings`."""
    made = Celery("tasks", broker=settings.broker.url, backend=f"resultstore+{settings.index.url}")
    made.conf.update(
        include=TASK_MODULES,
        task_default_queue=settings.broker.queue,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        task_track_started=True,
        # The task of a crashed worker is delivered again: every task here is idempotent.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=TASK_TIME_LIMIT_S,
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(settings.broker.url),
    )
    setup(made)
    if settings.bucket_events.exchange:
        bucket_events.install(made, settings)
    return made


def _transport_options(broker_url: str) -> dict[str, object]:
    if broker_url.startswith("amqp"):
        # Without publisher confirms, RabbitMQ drops messages that it refuses without an error.
        return {"confirm_publish": True}
    # Redis as a broker redelivers unacknowledged messages after this time, which must exceed the task time limit.
    return {"visibility_timeout": 2 * TASK_TIME_LIMIT_S}


@worker_init.connect
def _keep_decoders_out(**_: object) -> None:
    """Hide this process before it forks the pool, so that the children are hidden too."""
    hide_this_process()


@worker_ready.connect
def _log_decoder_access(**_: object) -> None:
    """Log once what this machine's kernel cannot keep from decoders."""
    log_decoder_access()


app = make_app(Settings())
escape_worker_logs()
trace_worker(Settings())
