"""Registration: a worker registers its tasks in the index, where gateways read them."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from celery import Celery
from celery.signals import worker_ready

from resultstore.dispatch.registrations import RENEW_INTERVAL_S, Registrations
from resultstore.model.errors import Misconfigured, ResultStoreError
from resultstore.store import Store
from resultstore.telemetry.logs import Log

if TYPE_CHECKING:
    # Not at run time: it takes Celery's `build_tracer`, which Sentry and others replace after this import.
    from celery.worker.consumer import Consumer

_OWN_PREFIX = "celery."

_log = Log(__name__)


def install(app: Celery, store: Callable[[], Store]) -> None:
    """Let each worker of `app` register its tasks when it is ready, and then every minute.

    Args:
        app: whose workers.
        store: returns the app's Store; called when a worker is ready. If it raises Misconfigured, because the app has
            another result backend, the worker warns and goes on.
    """

    def note_when_ready(sender: "Consumer | None" = None, **_: object) -> None:
        if sender is None or sender.app is not app:
            return
        try:
            index = store().index
        except Misconfigured as error:
            _log.warning("tasks_are_plain_celery_tasks", despite="setup(app)", reason=str(error))
            return
        queues = [one.name for one in sender.app.amqp.queues.consume_from.values()]
        tasks = [one for one in app.tasks if not one.startswith(_OWN_PREFIX)]
        noted = [Registrations(index, one) for one in queues]
        _note(noted, tasks)  # before the worker says that it is ready
        threading.Thread(target=_renew, args=(noted, tasks), name="resultstore-registering", daemon=True).start()

    worker_ready.connect(note_when_ready, weak=False, dispatch_uid=f"resultstore-registering-{id(app)}")


def _renew(noted: list[Registrations], tasks: list[str]) -> None:
    """Renew the registrations for as long as the process lives, so that a lost index has them again in a minute."""
    never = threading.Event()
    while not never.wait(RENEW_INTERVAL_S):
        _note(noted, tasks)


def _note(noted: list[Registrations], tasks: list[str]) -> None:
    try:
        for one in noted:
            one.note(tasks)
    except ResultStoreError as error:
        _log.warning("tasks_not_registered", error=str(error))
