"""The Celery door: `Celery(backend="resultstore+redis://...")`, then `setup(app)` for capture."""

from resultstore.backends.celery.keeping import keeps
from resultstore.backends.celery.setup import resolve, setup, store_of
from resultstore.backends.celery.spill.lazy import LazyParts
from resultstore.backends.celery.tracing import trace_worker
from resultstore.backends.celery.worker_logs import escape_worker_logs
from resultstore.backends.celery.workflows import Forgotten, forget_workflow

__all__ = [
    "Forgotten",
    "LazyParts",
    "escape_worker_logs",
    "forget_workflow",
    "keeps",
    "resolve",
    "setup",
    "store_of",
    "trace_worker",
]
