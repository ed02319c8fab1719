"""Sends the body of a chord with publisher confirms, as the task that ended last would send it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery._state import _task_stack
from kombu.pools import producers

from resultstore.backends.celery.publish.dispatch_once import mark_dispatches


def send(app: Celery, body: Any, values: list[object], *, group_id: str, token: str) -> None:  # noqa: ANN401 - a signature
    """Send `body` with `values`, and wait for the broker's confirm if its transport has confirms.

    Args:
        app: sends it.
        body: the signature; it is not changed.
        values: the list that it is called with.
        group_id: of the chord.
        token: names this dispatch of the body.

    Raises kombu.exceptions.OperationalError while the broker is unavailable, and other errors of a publish.
    """
    with_retries: Callable[..., object] | None = getattr(app.amqp, "_retry_publish", None)  # since Celery 5.7
    with mark_dispatches(group_id, token), _confirming_producer(app) as options:
        if with_retries is None:
            body.apply_async((values,), **options)
        else:
            with_retries(body.apply_async, (values,), **options)


def senders_of(app: Celery) -> str:
    """Return the app's name and its broker's URL: apps that share both send to the same queues."""
    connection = app.connection_for_write()
    return f"{app.main} {connection.as_uri(mask='')}"


@contextmanager
def acting_as(app: Celery, request: Mapping[str, Any]) -> Iterator[None]:
    """Send as the task of `request` would: as its child, with its root, priority and stamps."""
    task = app.tasks["celery.backend_cleanup"]  # any task serves; this one is in every app
    task.push_request(**request, called_directly=False)
    _task_stack.push(task)
    try:
        yield
    finally:
        _task_stack.pop()
        task.pop_request()


@contextmanager
def _confirming_producer(app: Celery) -> Iterator[dict[str, object]]:
    """Yield the options that make a publish wait for the broker's confirm; none if the transport has no confirms."""
    connection = app.connection_for_write(transport_options={"confirm_publish": True})
    if connection.get_transport_cls().driver_type != "amqp" or app.conf.task_always_eager:
        yield {}
        return
    # Kombu's own pools: kept for the next chord, and dropped after a fork.
    with producers[connection].acquire(block=True) as producer:
        yield {"producer": producer}
