"""Tracing: enables the traces of a worker if its settings say so."""

import importlib

from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings


def trace_worker(settings: Settings) -> None:
    """Trace the tasks of this worker if `RESULTSTORE_TRACING` is set; else import nothing.

    Raises Misconfigured if the extra `tracing` is not installed.
    """
    if not settings.telemetry.tracing:
        return
    try:
        spans = importlib.import_module("resultstore.backends.celery.worker.spans")
    except ModuleNotFoundError as error:
        raise Misconfigured("RESULTSTORE_TRACING needs pip install 'resultstore[tracing]'") from error
    spans.trace_worker()
