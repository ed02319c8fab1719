"""App: the Celery application of the shipped worker (`celery -A tasks.app worker`)."""

from celery import Celery
from celery.signals import worker_init, worker_ready

from resultstore import Settings
from resultstore.backends.celery import bucket_events, escape_worker_logs, setup, trace_worker
from tasks.offers import TASK_MODULES
from tasks.sandbox.confined import hide_this_process
from tasks.sandbox.fences import tell_what_decoders_reach

# Kept below RabbitMQ's `consumer_timeout` (30 minutes unacknowledged): with late acknowledgement a longer task
# would lose its channel and run again, for ever.
TASK_TIME_LIMIT_S = 25 * 60


def make_app(settings: Settings) -> Celery:
    """A Celery application that keeps its results in the store that `settings` names."""
    made = Celery("tasks", broker=settings.broker.url, backend=f"resultstore+{settings.index.url}")
    made.conf.update(
        include=TASK_MODULES,
        task_default_queue=settings.broker.queue,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        task_track_started=True,
        # A worker that dies gives its task back; every task here may run twice without harm.
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
        # Without confirms RabbitMQ drops what it refuses, and nobody is told.
        return {"confirm_publish": True}
    # Redis as a broker redelivers what is not acknowledged after this time: above the hard limit of a task.
    return {"visibility_timeout": 2 * TASK_TIME_LIMIT_S}


@worker_init.connect
def _keep_decoders_out(**_: object) -> None:
    """Before the pool is made: its processes are this one's children, and hidden with it."""
    hide_this_process()


@worker_ready.connect
def _tell_what_decoders_reach(**_: object) -> None:
    """What a kernel cannot take from decoders is a fact about this machine: said once, at the start."""
    tell_what_decoders_reach()


app = make_app(Settings())
escape_worker_logs()
trace_worker(Settings())
