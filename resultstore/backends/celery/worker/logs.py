"""Worker logs: escapes control characters, so that logged text cannot control the operator's terminal."""

import logging

from celery.signals import after_setup_logger, after_setup_task_logger

from resultstore.telemetry.logs import EscapeControls


def escape_worker_logs() -> None:
    """Escape control characters in all lines of this worker's log: task names, errors and tracebacks."""
    for signal in (after_setup_logger, after_setup_task_logger):
        signal.connect(_escape, dispatch_uid="resultstore.telemetry.escapes")


def _escape(logger: logging.Logger, **_: object) -> None:
    for handler in logger.handlers:
        handler.addFilter(EscapeControls())
