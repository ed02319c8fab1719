"""Confirming: the settings by which no message is lost."""

from typing import Any

from celery import Celery


def install(app: Celery) -> None:
    """Have each message acknowledged when its task has ended, and each published one confirmed."""
    app.conf.task_acks_late = True
    app.conf.task_reject_on_worker_lost = True
    app.conf.worker_prefetch_multiplier = 1
    # Setting these reads no configuration; what is already among the transport's options must be read first.
    if app.configured:
        _confirm(app)
    else:
        app.on_after_configure.connect(_confirm, weak=False)


def _confirm(sender: Celery, **_: Any) -> None:  # noqa: ANN401 - Celery's signals
    options = sender.conf.broker_transport_options
    sender.conf.broker_transport_options = {**options, "confirm_publish": True}
