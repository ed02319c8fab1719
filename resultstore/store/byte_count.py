"""Counting: keeps the count of the bytes that each owner has in the object store."""

import math
import time
from typing import Final

from resultstore.index.due_list import DueList
from resultstore.index.index import Index
from resultstore.index.owner_byte_counts import OwnerByteCounts
from resultstore.model import layout
from resultstore.model.errors import IndexUnavailable, UploadRejected
from resultstore.model.result import Result, State
from resultstore.telemetry.logs import Log

_log = Log(__name__)

# Lifecycle rules collect blobs a day after they have expired (retention.py).
COLLECTED_AFTER_S: Final = layout.DAY_S


class ByteCounter:
    """Counts what Results hold for as long as it is stored, which is longer than their records live.

    Args:
        index: where it is counted; `room` is the count itself, `late` the uploads whose bytes were deleted while a URL
            could still bring them again, by when that has ended.
    """

    def __init__(self, index: Index) -> None:
        self.room = OwnerByteCounts(index)
        self.late = DueList(index, layout.LATE_UPLOADS_KEY)

    def note(self, result: Result, *, written: bool) -> bool:
        """Count what a Result that has ended holds, if its record was `written`; answers that.

        Best effort: the gateway counts anew from the owner's list, once a day.
        """
        if written and result.owner and result.terminal:
            try:
                self.count(result)
            except IndexUnavailable as error:
                _log.warning("bytes_not_counted", id=result.id, error=str(error))
        return written

    def count(self, result: Result) -> None:
        """Count what a Result holds now, in place of what was counted before. Raises IndexUnavailable."""
        owner, kept = result.owner, result.artifacts
        if result.failure is not None and result.failure.type == UploadRejected.__name__:
            self.room.forget_stored(owner, result.id)  # its bytes are deleted; what may come again stays counted
        elif kept or result.state == State.SUCCESS:
            self.room.count_stored(
                owner, result.id, size_bytes=sum(one.stored_bytes for one in kept), ttl_s=_life_s(result)
            )
        elif result.terminal:
            self.room.drop_reservation(owner, result.id)  # what is stored of its input stays counted

    def forget(self, owner: str, result_id: str) -> None:
        """Count what was deleted no more. Best effort: it ends with its class."""
        if not owner:
            return
        try:
            self.room.forget_stored(owner, result_id)
        except IndexUnavailable as error:
            _log.warning("bytes_not_forgotten", id=result_id, error=str(error))


def _life_s(result: Result) -> float | None:
    """How long its blobs stay; None where one of them is kept until it is deleted."""
    last = max((math.inf if one.expires_at is None else one.expires_at for one in result.artifacts), default=0.0)
    return None if last == math.inf else max(1.0, last + COLLECTED_AFTER_S - time.time())
