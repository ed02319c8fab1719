"""Testing: runs an app's tasks in one process without a server, with the same settings on every machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from celery import Celery
from celery.contrib.testing.worker import start_worker

from resultstore.backends.celery.compat import whole_requests
from resultstore.backends.celery.setup import store_of
from resultstore.settings.isolated import isolated_settings, variables_hidden
from resultstore.settings.settings import settings_known
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
    "result_backend_transport_options": {},
    "resultstore_legacy_redis": False,
    "resultstore_publish_legacy": False,
}
# Celery prefers these variables to an app's settings (celery/app/utils.py, Settings).
_CELERYS_VARIABLES: Final = (
    "CELERY_RESULT_BACKEND",
    "CELERY_BROKER_URL",
    "CELERY_BROKER_READ_URL",
    "CELERY_BROKER_WRITE_URL",
)
# What the app's own settings do not choose: servers and keys.
_NOT_THE_APPS: Final = frozenset({"index_url", "blobs_url", "secret_key", "secret_key_old", "bytes_url"})


@contextmanager
def eager(app: Celery, **settings: object) -> Iterator[Store]:
    """Run each task where it is called, and raise its errors; yield an empty Store until the block ends.

    Args:
        app: any app; its settings are restored after the block.
        settings: by the names of `Settings`, such as `system_tasks="jobs.*"`. Others are the app's own or the defaults:
            RESULTSTORE_* variables are not read.
    """
    called = {"task_always_eager": True, "task_eager_propagates": True}
    with _own_servers(app, settings) as changes, _changed(app, {**changes, **called}):
        yield store_of(app)


@contextmanager
def working(app: Celery, **settings: object) -> Iterator[Store]:
    """Run a real worker of `app` on a thread of this process, with its messages and results in memory.

    Blobs are stored in a temporary folder, which is removed after the block.

    Serializers, chains, chords and `get` work as with servers. The worker takes some seconds to end: let many tests
    share one.

    Args:
        app: any app; its settings are restored after the block.
        settings: as in `eager`.
    """
    with _own_servers(app, settings) as changes, _changed(app, changes):
        store = store_of(app)  # before the worker's thread makes a backend of its own, with another memory
        with whole_requests(), start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=_STOP_LIMIT_S):
            yield store


@contextmanager
def _own_servers(app: Celery, given: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Yield the Celery settings of a test: servers in memory, and a temporary folder of blobs until the block ends."""
    transport = app.conf.get("result_backend_transport_options") or {}

    def own(name: str) -> object:
        return transport.get(name, app.conf.get(f"resultstore_{name}"))

    apps = {name: own(name) for name in settings_known().keys() - _NOT_THE_APPS if own(name) is not None}
    cleaned = TemporaryDirectory(prefix="resultstore-", ignore_cleanup_errors=True)
    with cleaned as folder, variables_hidden(_CELERYS_VARIABLES):
        settings = isolated_settings(Path(folder), {**apps, **given})
        named = {f"resultstore_{name}": value for name, value in settings.items()}
        yield {**_IN_MEMORY, "resultstore_track_sent": bool(own("track_sent")), **named}


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
