"""Celery integration: `Celery(backend="resultstore+redis://...")`, and `setup(app)` for capture.

What Dramatiq and taskiq share with it is in lower packages.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from resultstore.backends.celery import compat  # noqa: F401 - first: it refuses a version that is too old
from resultstore.backends.celery.capture.keeps import keeps
from resultstore.backends.celery.capture.lazy_parts import LazyParts
from resultstore.backends.celery.setup import resolve, setup, store_of
from resultstore.backends.celery.worker.logs import escape_worker_logs
from resultstore.backends.celery.worker.tracing import trace_worker
from resultstore.backends.celery.workflows import Forgotten, forget_workflow

if TYPE_CHECKING:
    from resultstore.backends.celery.aio import GroupProgress, as_completed, completion, completion_of, get, state
    from resultstore.backends.celery.dispatching import CeleryDispatcher
    from resultstore.backends.celery.offering import offered, offers_of
    from resultstore.backends.celery.worker import bucket_events

__all__ = [
    "CeleryDispatcher",
    "Forgotten",
    "GroupProgress",
    "LazyParts",
    "as_completed",
    "bucket_events",
    "completion",
    "completion_of",
    "escape_worker_logs",
    "forget_workflow",
    "get",
    "keeps",
    "offered",
    "offers_of",
    "resolve",
    "setup",
    "state",
    "store_of",
    "trace_worker",
]


# What only some processes need: the gateway, workers with offers, and workers that receive MinIO's notifications.
_LATER: Final = {
    "CeleryDispatcher": "resultstore.backends.celery.dispatching",
    "offered": "resultstore.backends.celery.offering",
    "offers_of": "resultstore.backends.celery.offering",
    "GroupProgress": "resultstore.backends.celery.aio",
    "as_completed": "resultstore.backends.celery.aio",
    "completion": "resultstore.backends.celery.aio",
    "completion_of": "resultstore.backends.celery.aio",
    "get": "resultstore.backends.celery.aio",
    "state": "resultstore.backends.celery.aio",
}


def __getattr__(name: str) -> object:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    if name == "bucket_events":
        return import_module("resultstore.backends.celery.worker.bucket_events")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
