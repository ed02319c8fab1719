"""Recording: Celery's word for how a task stands, written as a Result."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import states

from resultstore.model.artifact import Artifact
from resultstore.model.result import Failure, Result, text_of

# What the record itself holds of Celery's meta; the rest (children, result_extended ...) is its `extra`.
_IN_THE_RECORD = frozenset({"status", "result", "traceback", "date_done", "name", "worker", "retries"})


def recorded(
    plain: Result, meta: Mapping[str, Any], request: object, *, owner: str, encoded: Callable[[object], bytes]
) -> Result:
    """`plain` with what Celery's `meta` and `request` tell of the task.

    Args:
        plain: the id, with its value or failure.
        meta: as `Backend._get_result_meta` makes it.
        request: Celery's Context, or None where a client speaks of a task.
        owner: who owns the task's Result.
        encoded: encodes what has no place in the record.
    """
    state = str(meta["status"])
    extra = {key: value for key, value in meta.items() if key not in _IN_THE_RECORD and value}
    stood = meta["result"] if state == states.STARTED and isinstance(meta["result"], dict) else {}
    now = time.time()
    return plain.moved(
        state,
        artifacts=plain.artifacts or (_given(plain, request) if plain.failure else ()),
        task=getattr(request, "task", None) or plain.task,
        owner=plain.owner or owner,
        worker=getattr(request, "hostname", None) or stood.get("hostname") or plain.worker,
        retries=getattr(request, "retries", None) or plain.retries,
        traceback=meta.get("traceback") or "",
        created_at=getattr(request, "resultstore_sent_at", None) or plain.created_at,
        started_at=plain.started_at or getattr(request, "resultstore_began_at", None) or (now if stood else None),
        ended_at=now if state in states.READY_STATES else None,
        extra=encoded(extra) if extra else b"",
    )


def _given(failed: Result, request: object) -> tuple[Artifact, ...]:
    """The upload that a failed task was given, so that people see which file it was, even where it was refused."""
    args = getattr(request, "args", None)
    if not isinstance(args, list | tuple):
        return ()
    return tuple(one for one in args if isinstance(one, Artifact) and one.id == failed.id)


def failure_of(encoded: object) -> Failure | None:
    """What people read of Celery's encoded exception."""
    if not isinstance(encoded, dict):
        return None
    message = encoded.get("exc_message", "")
    told = ", ".join(map(text_of, message)) if isinstance(message, list | tuple) else text_of(message)
    return Failure(str(encoded.get("exc_type", "")), told, str(encoded.get("exc_module") or ""))


def encoded_failure(failure: Failure) -> dict[str, object]:
    """The form that Celery makes an exception of."""
    return {"exc_type": failure.type, "exc_message": (failure.message,), "exc_module": failure.module or None}
