"""Setup: one call that lets an app's tasks receive and return large values."""

from collections.abc import Iterable
from functools import partial
from typing import Literal

from celery import Celery

from resultstore.backends.celery import at_least_once
from resultstore.backends.celery.capture import amqp, registry, resend
from resultstore.backends.celery.capture.other_backend import NOT_RESULTSTORE, keeps_results
from resultstore.backends.celery.codec import kombu_types
from resultstore.backends.celery.wait import async_result
from resultstore.backends.celery.worker import registration
from resultstore.capture.adapters import Adapter
from resultstore.model.errors import Misconfigured
from resultstore.store import Store
from resultstore.store.attempt import current


def setup(
    app: Celery,
    *,
    spill: bool = True,
    delivery: Literal["at-least-once"] | None = None,
    adapters: Iterable[Adapter] = (),
) -> None:
    """Store large outputs and arguments of the tasks of `app`, and keep them out of the broker.

    An `Output`, a generator of bytes, an open binary file or a `Path` is streamed into the store, and its Artifact
    travels in its place. A plain value over `settings.results.inline_max_bytes`, returned or passed as an argument,
    travels as a reference (claim check). The next task, a chord's body and `AsyncResult.get()` get the value.

    Call it once, where the app is made, in clients and workers. Task classes and decorators need no change.

    Args:
        app: its backend is `resultstore+redis://...`. With another one its tasks are plain Celery tasks: a worker says
            so when it starts, and a task that returns a file fails with Misconfigured.
        spill: False for the first step of a rolling upgrade: received references are resolved, but none are made, so
            that workers without this package can read every message.
        delivery: "at-least-once" sets late acknowledgement, redelivery after the loss of a worker, no prefetching and
            publisher confirms. A task may then run twice; the first outcome counts. None changes no setting.
            A Redis broker delivers again only after `visibility_timeout` (kombu's default: one hour).
        adapters: write other objects that tasks return as files; `resultstore.LIBRARY_ADAPTERS` has those for pandas,
            polars, pyarrow, numpy, Pillow and matplotlib. The first that fits is used.
    """
    kombu_types.register()
    amqp.install(app, produces=spill)
    registry.install(app, adapters=adapters)
    async_result.install(app)
    resend.install(app)
    registration.install(app, partial(store_of, app))
    if delivery == "at-least-once":
        at_least_once.install(app)


def resolve(app: Celery, value: object) -> object:
    """Return `value` with the values of its references.

    A task and its hooks get values anyway. This is for code that reads messages: `before_task_publish`,
    `task_received`, a `Request` class of your own.

    Args:
        app: its result backend is resultstore.
        value: a reference, a task's arguments as a list or a dict, or any other value, which is returned unchanged.

    Raises:
        BadReference: a reference is not one of this store.
        NotYours: its owner is not that of the running task.
        ArtifactExpired, ArtifactMissing: its value is not stored any more.
        ChecksumMismatch: the stored value is damaged.
    """
    store_of(app)
    running = current()
    bound = partial(app.backend.resolver.resolve_arguments, lazy={}, owner=None if running is None else running.owner)
    (found,), _ = bound([value], {})
    return bound([], found)[1] if isinstance(found, dict) else found


def store_of(app: Celery) -> Store:
    """Return the Store of the app's result backend. Raises Misconfigured if the app has another backend."""
    if not keeps_results(app.backend):
        raise Misconfigured(NOT_RESULTSTORE)
    store: Store = app.backend.store
    return store
