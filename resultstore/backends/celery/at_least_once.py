"""At-least-once: the settings of Celery by which no message is lost."""

from typing import Any

from celery import Celery


def install(app: Celery) -> None:
    """Acknowledge each message after its task has ended, and wait for a confirm of each published one."""
    app.conf.task_acks_late = True
    app.conf.task_reject_on_worker_lost = True
    app.conf.worker_prefetch_multiplier = 1
    # The settings above can be set before the configuration is read; the transport's options must be read first.
    if app.configured:
        _confirm(app)
    else:
        app.on_after_configure.connect(_confirm, weak=False)


def _confirm(sender: Celery, **_: Any) -> None:  # noqa: ANN401 - Celery's signals
    options = sender.conf.broker_transport_options
    sender.conf.broker_transport_options = {**options, "confirm_publish": True}
