"""Dispatch once: lets one of several copies of a chord's body run."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from celery.exceptions import Ignore

from resultstore.index.index import Keys
from resultstore.model import layout
from resultstore.telemetry.logs import Log

_log = Log(__name__)

HEADER: Final = "resultstore_dispatch"  # of the message, and so an attribute of the request

STARTED: Final = ".r"  # suffix of the group's key: which dispatch runs

_dispatch: ContextVar[str] = ContextVar("resultstore_dispatch", default="")


@contextmanager
def mark_dispatches(group_id: str, token: str) -> Iterator[None]:
    """Mark the messages that are sent inside of this block as the dispatch `token` of a chord's body."""
    mark = _dispatch.set(f"{group_id}:{token}")
    try:
        yield
    finally:
        _dispatch.reset(mark)


def mark_dispatch(headers: dict[str, object]) -> None:
    """Mark a message that is sent for the body of a chord with the dispatch that it belongs to."""
    if _dispatch.get():
        headers[HEADER] = _dispatch.get()


def check_start(request: Any, keys: Keys, *, life_s: int) -> None:  # noqa: ANN401 - Celery's Context
    """Let the first dispatch that starts run a chord's body, however often its message is redelivered.

    The claim is per chord: a body that is replaced by another chord passes its id to the body of that one.

    Raises celery.exceptions.Ignore for a task of any other dispatch.
    """
    group_id, _, token = str(getattr(request, HEADER, None) or "").rpartition(":")
    if not token:
        return
    if not keys.claim(layout.group_key(group_id, STARTED), token, ttl_s=life_s):
        _log.info("second_dispatch_not_run", id=request.id)
        raise Ignore
