"""Cancelled: stops tasks that were cancelled or deleted while their message waited."""

import time
from typing import Any, Final

from celery.exceptions import Ignore, TaskRevokedError

from resultstore.backends.celery.capture.resend import CHOSEN
from resultstore.capture.run import still_wanted, unwanted_message
from resultstore.store import Store

# A younger message is run without a look-up, which would cost every small task a round trip. If its id was deleted
# within that second, the index refuses to store its outcome.
_YOUNG_S: Final = 1.0


def check_wanted(request: Any, store: Store) -> None:  # noqa: ANN401 - Celery's Context
    """Raise Ignore if this task was cancelled or deleted: Celery acknowledges the message, and stores nothing.

    A chord waits for each of its parts, and the rest of a chain for the link before it. Their tasks raise
    TaskRevokedError, which fails the chord or the chain.
    """
    if request.is_eager or _is_young(request) or still_wanted(store, request.id):
        return
    why = unwanted_message(request.id)
    if request.chord or request.chain:
        raise TaskRevokedError(why)
    raise Ignore(why)


def _is_young(request: Any) -> bool:  # noqa: ANN401 - the same
    sent_at = getattr(request, "resultstore_sent_at", None)
    # An id that its sender chose may have been deleted long before this message was sent.
    again = (request.delivery_info or {}).get("redelivered") or getattr(request, CHOSEN, False)
    if again or not isinstance(sent_at, int | float):
        return False
    return abs(time.time() - sent_at) < _YOUNG_S
