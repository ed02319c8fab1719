"""ByteCounter: counts the bytes that each owner has in the object store."""

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

# Lifecycle rules delete blobs a day after they have expired (ops/lifecycle.py).
COLLECTED_AFTER_S: Final = layout.DAY_S


class ByteCounter:
    """Counts the bytes of Results for as long as they are stored, which is longer than their records live.

    Args:
        index: stores the counts: `owner_bytes`, and `late_uploads`, deleted uploads whose URLs still work.
    """

    def __init__(self, index: Index) -> None:
        self.owner_bytes = OwnerByteCounts(index)
        self.late_uploads = DueList(index, layout.LATE_UPLOADS_KEY)

    def count_written(self, result: Result, *, written: bool) -> bool:
        """Count the bytes of a terminal Result if its record was `written`; return `written`.

        Best effort: once a day the gateway counts again from the owner's list.
        """
        if written and result.owner and result.terminal:
            try:
                self.count(result)
            except IndexUnavailable as error:
                _log.warning("bytes_not_counted", id=result.id, error=str(error))
        return written

    def count(self, result: Result) -> None:
        """Replace the count of this Result by what it holds now. Raises IndexUnavailable."""
        owner, kept = result.owner, result.artifacts
        if result.failure is not None and result.failure.type == UploadRejected.__name__:
            self.owner_bytes.forget_stored(owner, result.id)  # its bytes are deleted; what may come again stays counted
        elif kept or result.state == State.SUCCESS:
            self.owner_bytes.count_stored(
                owner, result.id, size_bytes=sum(one.stored_bytes for one in kept), ttl_s=_life_s(result)
            )
        elif result.terminal:
            self.owner_bytes.drop_reservation(owner, result.id)  # what is stored of its input stays counted

    def forget(self, owner: str, result_id: str) -> None:
        """Remove a deleted Result from the count. Best effort: the entry expires with its retention class."""
        if not owner:
            return
        try:
            self.owner_bytes.forget_stored(owner, result_id)
        except IndexUnavailable as error:
            _log.warning("bytes_not_forgotten", id=result_id, error=str(error))


def _life_s(result: Result) -> float | None:
    """Return how long its blobs stay; None if one of them never expires."""
    last = max((math.inf if one.expires_at is None else one.expires_at for one in result.artifacts), default=0.0)
    return None if last == math.inf else max(1.0, last + COLLECTED_AFTER_S - time.time())
