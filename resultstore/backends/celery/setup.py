"""Setup: one call that lets an app's tasks take and return what is large."""

from functools import partial
from typing import Literal

from celery import Celery

from resultstore.backends.celery import at_least_once
from resultstore.backends.celery.capture import amqp, registry, resend
from resultstore.backends.celery.codec import kombu_types
from resultstore.backends.celery.wait import async_result
from resultstore.backends.celery.worker import registration
from resultstore.model.errors import Misconfigured
from resultstore.store import Store
from resultstore.store.attempt import current


def setup(app: Celery, *, spill: bool = True, delivery: Literal["at-least-once"] | None = None) -> None:
    """Capture what the tasks of `app` return, and keep large values out of the broker.

    An `Output`, a generator of bytes, an open binary file or a `Path` is streamed into the store, and its Artifact
    travels in its place. A plain value over `Settings.inline_max_bytes`, returned or given as an argument, travels as
    a reference, and whoever uses it gets the value: the next task, a chord's body, `AsyncResult.get()`.

    Call it once, where the app is made, in clients and workers alike; task classes and decorators stay as they are.

    Args:
        app: its backend is `resultstore+redis://...`.
        spill: False for the first step of an upgrade: references that come in are resolved, none are made, so that
            workers without this package go on reading every message.
        delivery: "at-least-once" lets no message be lost: a worker acknowledges a task when it has ended, one that dies
            gives it back, none is held in advance, and the broker confirms what is published. A task may then run
            twice; its outcome is the first one's. None leaves Celery's settings alone.
    """
    kombu_types.register()
    amqp.install(app, produces=spill)
    registry.install(app)
    async_result.install(app)
    resend.install(app)
    registration.install(app, partial(store_of, app))
    if delivery == "at-least-once":
        at_least_once.install(app)


def resolve(app: Celery, value: object) -> object:
    """Return what the references in `value` stand for.

    A task and its hooks see values already. This is for code that looks at messages: `before_task_publish`,
    `task_received`, a `Request` class of your own.

    Args:
        app: its result backend is resultstore.
        value: a reference, a task's arguments as a list or a dict, or anything else, which is returned as it is.

    Raises:
        BadReference: a reference was not made by this store.
        NotYours: it belongs to another owner than the running task's.
        ArtifactExpired, ArtifactMissing: its value is not stored any more.
        ChecksumMismatch: the stored value is damaged.
    """
    store_of(app)
    running = current()
    bound = partial(app.backend.resolver.bound, lazy={}, owner=None if running is None else running.owner)
    (found,), _ = bound([value], {})
    return bound([], found)[1] if isinstance(found, dict) else found


def store_of(app: Celery) -> Store:
    """The Store behind the app's result backend. Raises Misconfigured when it has another backend."""
    store = getattr(app.backend, "store", None)
    if not isinstance(store, Store):
        raise Misconfigured("the app's result backend is not resultstore: set it to resultstore+redis://host:6379/0")
    return store
