"""Sending: sends the body of a chord so that the broker has it, and so that two copies of it do not both run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from celery import Celery
from celery._state import _task_stack
from celery.exceptions import Ignore
from kombu.pools import producers

from resultstore.index.index import Claims
from resultstore.model import layout
from resultstore.telemetry.logs import Log

_log = Log(__name__)

HEADER: Final = "resultstore_dispatch"  # of the message, and so an attribute of the request

STARTED: Final = ".r"  # behind the group's key: which dispatch runs

_dispatch: ContextVar[str] = ContextVar("resultstore_dispatch", default="")


def mark_dispatch(headers: dict[str, object]) -> None:
    """Mark a message that is sent for the body of a chord with the dispatch that it belongs to."""
    if _dispatch.get():
        headers[HEADER] = _dispatch.get()


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
    mark = _dispatch.set(f"{group_id}:{token}")
    try:
        with _confirming(app) as options:
            if patient is None:
                body.apply_async((values,), **options)
            else:
                patient(body.apply_async, (values,), **options)
    finally:
        _dispatch.reset(mark)


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


def check_start(request: Any, claims: object, *, life_s: int) -> None:  # noqa: ANN401 - Celery's Context
    """Let one dispatch of a chord's body run: the first to start, however often its message is redelivered.

    Of one chord: a body that is replaced by a chord hands its id to the body of that one.

    Raises celery.exceptions.Ignore for a task of any other dispatch.
    """
    group_id, _, token = str(getattr(request, HEADER, None) or "").rpartition(":")
    if not token or not isinstance(claims, Claims):
        return
    if not claims.claim(layout.group_key(group_id, STARTED), token, ttl_s=life_s):
        _log.info("second_dispatch_not_run", id=request.id)
        raise Ignore


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
