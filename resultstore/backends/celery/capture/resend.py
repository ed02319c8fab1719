"""Resend: does not run a task again whose id is sealed already, when it is sent or delivered a second time."""

import functools
import re
from typing import Any, Final

from celery import Celery
from celery.exceptions import Ignore

from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.telemetry.logs import Log

_log = Log(__name__)

CHOSEN: Final = "resultstore_chosen_id"  # header: the sender named the id, so it may have been sent before
RERUN: Final = "resultstore_rerun"  # header: the sender asks for the body to run again
_WRAPPED: Final = "_resultstore_marks_chosen_ids"
# What Celery's `uuid()` makes (kombu/utils/uuid.py): RFC 9562, version 4.
_UUID4: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


def install(app: Celery) -> None:
    """Mark the messages of `app` whose id the caller chose; a second call changes nothing.

    Only these and redelivered ones are looked up before they run: an id that Celery has just made needs no request.
    """
    send = app.send_task
    if getattr(send, _WRAPPED, False):
        return

    @functools.wraps(send)
    def send_task(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - Celery's arguments and its AsyncResult
        if _is_chosen(options):
            options["headers"] = {**(options.get("headers") or {}), CHOSEN: True}
        return send(*args, **options)

    setattr(send_task, _WRAPPED, True)
    app.send_task = send_task


def find_sealed(request: Any, store: Store) -> Result | None:  # noqa: ANN401 - Celery's Context
    """Return the sealed Result of a message that was redelivered, whose callbacks may not have been sent yet.

    Raises celery.exceptions.Ignore for a second message with a sealed id: its callbacks were sent with the first. As
    part of a chain or a chord it returns the sealed Result instead, without callbacks: another workflow waits for it.
    With the header `resultstore_rerun` its body runs again; the outcome of the id stays the first.
    """
    redelivered = bool((getattr(request, "delivery_info", None) or {}).get("redelivered"))
    chosen = getattr(request, CHOSEN, False) is True and getattr(request, RERUN, False) is not True
    if store.blobs is None or not (redelivered or chosen):
        return None
    sealed = store.outcome(request.id)
    if sealed is None or redelivered:
        return sealed
    _log.info("sealed_task_not_run", id=request.id, task=request.task)
    if request.chain or request.chord:
        request.callbacks = None
        return sealed
    raise Ignore


def _is_chosen(options: dict[str, Any]) -> bool:
    """Return whether the caller named the id. A canvas that freezes a signature sets `reply_to` too."""
    task_id = options.get("task_id")
    if task_id is None or options.get("retries"):
        return False
    return options.get("reply_to") is None or _UUID4.match(str(task_id)) is None
