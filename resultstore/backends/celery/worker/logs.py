"""WorkerLogs: keeps the words of others from controlling the terminal that shows a worker's log."""

import logging

from celery.signals import after_setup_logger, after_setup_task_logger

from resultstore.telemetry.logs import EscapeControls


def escape_worker_logs() -> None:
    """Write out the control characters in every line that this worker logs: of task names, errors and tracebacks."""
    for signal in (after_setup_logger, after_setup_task_logger):
        signal.connect(_escape, dispatch_uid="resultstore.telemetry.escapes")


def _escape(logger: logging.Logger, **_: object) -> None:
    for handler in logger.handlers:
        handler.addFilter(EscapeControls())
