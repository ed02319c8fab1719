"""Sends the body of a chord with publisher confirms, as the task that ended last would send it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery._state import _task_stack
from kombu.pools import producers

from resultstore.backends.celery.publish.dispatch_once import dispatching


def send(app: Celery, body: Any, values: list[object], *, group_id: str, token: str) -> None:  # noqa: ANN401 - a signature
    """Send `body` with `values` and wait until the broker says that it has the message, where it can say so.

    Args:
        app: sends it.
        body: the signature; it is not changed.
        values: its argument.
        group_id: the chord's.
        token: names this dispatch of the body.

    Raises kombu.exceptions.OperationalError when the broker is away, and whatever else a publish raises.
    """
    patient: Callable[..., object] | None = getattr(app.amqp, "_retry_publish", None)  # since Celery 5.7
    with dispatching(group_id, token), _confirming(app) as options:
        if patient is None:
            body.apply_async((values,), **options)
        else:
            patient(body.apply_async, (values,), **options)


def senders_of(app: Celery) -> str:
    """The app's name and where its broker is: who has these in common sends to the same queues."""
    connection = app.connection_for_write()
    return f"{app.main} {connection.as_uri(mask='')}"


@contextmanager
def in_place_of(app: Celery, request: Mapping[str, Any]) -> Iterator[None]:
    """Send as the task of `request` would: with its root, its priority, its stamps, as its child."""
    task = app.tasks["celery.backend_cleanup"]  # any task serves; this one is in every app
    task.push_request(**request, called_directly=False)
    _task_stack.push(task)
    try:
        yield
    finally:
        _task_stack.pop()
        task.pop_request()


@contextmanager
def _confirming(app: Celery) -> Iterator[dict[str, object]]:
    """What makes a publish wait for the broker's word; nothing where the transport has no such word."""
    connection = app.connection_for_write(transport_options={"confirm_publish": True})
    if connection.get_transport_cls().driver_type != "amqp" or app.conf.task_always_eager:
        yield {}
        return
    # Kombu's own pools: kept for the next chord, and dropped in a fork.
    with producers[connection].acquire(block=True) as producer:
        yield {"producer": producer}
