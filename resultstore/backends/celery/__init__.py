"""Celery integration: `Celery(backend="resultstore+redis://...")`, and `setup(app)` for capture.

What Dramatiq and taskiq share with it is in lower packages.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from resultstore.backends.celery.capture.keeps import keeps
from resultstore.backends.celery.capture.lazy_parts import LazyParts
from resultstore.backends.celery.setup import resolve, setup, store_of
from resultstore.backends.celery.worker.logs import escape_worker_logs
from resultstore.backends.celery.worker.tracing import trace_worker
from resultstore.backends.celery.workflows import Forgotten, forget_workflow

if TYPE_CHECKING:
    from resultstore.backends.celery.worker import bucket_events

__all__ = [
    "Forgotten",
    "LazyParts",
    "bucket_events",
    "escape_worker_logs",
    "forget_workflow",
    "keeps",
    "resolve",
    "setup",
    "store_of",
    "trace_worker",
]


def __getattr__(name: str) -> object:
    # Only workers that receive MinIO's notifications load the code that completes uploads.
    if name == "bucket_events":
        return import_module("resultstore.backends.celery.worker.bucket_events")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
