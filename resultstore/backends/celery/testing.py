"""Testing: runs an app's tasks in one process with results in memory, so that tests need no server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from celery import Celery
from celery.contrib.testing.worker import start_worker

from resultstore.backends.celery.compat import whole_requests
from resultstore.backends.celery.setup import store_of
from resultstore.store import Store

# By default the broker in memory looks for messages every second (kombu/transport/virtual/base.py).
_POLL_S: Final = 0.01
_STOP_LIMIT_S: Final = 20.0
_IN_MEMORY: Final[Mapping[str, object]] = {
    "broker_url": "memory://",
    "broker_read_url": "memory://",
    "broker_write_url": "memory://",
    "broker_transport_options": {"polling_interval": _POLL_S},
    "result_backend": "resultstore+memory://",
    "resultstore_blobs_url": "memory://",
}


@contextmanager
def eager(app: Celery) -> Iterator[Store]:
    """Run each task where it is called, and raise its errors; yield an empty Store until the block ends.

    Args:
        app: any app; its settings are restored after the block.
    """
    with _changed(app, {**_IN_MEMORY, "task_always_eager": True, "task_eager_propagates": True}):
        yield store_of(app)


@contextmanager
def working(app: Celery) -> Iterator[Store]:
    """Run a real worker of `app` on a thread of this process, with its messages and results in memory.

    Serializers, chains, chords and `get` work as with servers. The worker takes some seconds to end: let many tests
    share one.

    Args:
        app: any app; its settings are restored after the block.
    """
    with _changed(app, _IN_MEMORY):
        store = store_of(app)  # before the worker's thread makes a backend of its own, with another memory
        with whole_requests(), start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=_STOP_LIMIT_S):
            yield store


@contextmanager
def _changed(app: Celery, settings: Mapping[str, object]) -> Iterator[None]:
    before = {name: app.conf.get(name) for name in settings}
    app.conf.update(settings)
    _drop_connections(app)
    try:
        yield
    finally:
        app.conf.update(before)
        _drop_connections(app)


def _drop_connections(app: Celery) -> None:
    """Forget the connections and the backend that were made under other settings."""
    app._after_fork()  # noqa: SLF001 - Celery's own way to drop its pools and producers
    app._backend_cache = None  # noqa: SLF001 - it has no public way to drop its backend
    local: Any = app._local  # noqa: SLF001 - the same
    local.__dict__.pop("backend", None)
