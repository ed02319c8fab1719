"""Conversion: Celery's meta and encoded exceptions as Results, and back."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import states

from resultstore.model.artifact import Artifact
from resultstore.model.result import Failure, Result, text_of

# The entries of Celery's meta with a field of their own; the rest (children, result_extended ...) is in `extra`.
_IN_THE_RECORD = frozenset({"status", "result", "traceback", "date_done", "name", "worker", "retries"})


def meta_to_result(
    plain: Result, meta: Mapping[str, Any], request: object, *, owner: str, encoded: Callable[[object], bytes]
) -> Result:
    """Return `plain` with the facts of Celery's `meta` and `request`.

    Args:
        plain: a Result with the id, and its value or failure.
        meta: as `Backend._get_result_meta` makes it.
        request: Celery's Context, or None where a client writes the state of a task.
        owner: who owns the task's Result.
        encoded: encodes what has no field in the record.
    """
    state = str(meta["status"])
    extra = {key: value for key, value in meta.items() if key not in _IN_THE_RECORD and value}
    started = meta["result"] if state == states.STARTED and isinstance(meta["result"], dict) else {}
    now = time.time()
    return plain.moved(
        state,
        artifacts=plain.artifacts or (_find_upload(plain, request) if plain.failure else ()),
        task=getattr(request, "task", None) or plain.task or _name_in_batch(request),
        owner=plain.owner or owner,
        worker=getattr(request, "hostname", None) or started.get("hostname") or plain.worker,
        retries=getattr(request, "retries", None) or plain.retries,
        traceback=meta.get("traceback") or "",
        created_at=getattr(request, "resultstore_sent_at", None) or plain.created_at,
        started_at=plain.started_at or getattr(request, "resultstore_began_at", None) or (now if started else None),
        ended_at=now if state in states.READY_STATES else None,
        extra=encoded(extra) if extra else b"",
    )


def _name_in_batch(request: object) -> str:
    """Return the name of the task of a request of celery-batches, which has no `task`."""
    return str(getattr(request, "name", None) or "")


def _find_upload(failed: Result, request: object) -> tuple[Artifact, ...]:
    """Return the upload that a failed task was given, so that users see which file it was, even if it was refused."""
    args = getattr(request, "args", None)
    if not isinstance(args, list | tuple):
        return ()
    return tuple(one for one in args if isinstance(one, Artifact) and one.id == failed.id)


def failure_of(encoded: object) -> Failure | None:
    """Return the Failure that users read, from Celery's encoded exception."""
    if not isinstance(encoded, dict):
        return None
    message = encoded.get("exc_message", "")
    text = ", ".join(map(text_of, message)) if isinstance(message, list | tuple) else text_of(message)
    return Failure(str(encoded.get("exc_type", "")), text, str(encoded.get("exc_module") or ""))


def encode_failure(failure: Failure) -> dict[str, object]:
    """Return the form that Celery decodes into an exception."""
    return {"exc_type": failure.type, "exc_message": (failure.message,), "exc_module": failure.module or None}
