"""RecordWriter: writes the record of a Result with the right lifetime, and never over a better one."""

import sys
import time

from resultstore.index.index import Index, Overwrite
from resultstore.model.errors import Damaged, IndexUnavailable, SealUnreadable
from resultstore.model.result import Failure, Result, State
from resultstore.settings import Settings
from resultstore.store.byte_count import ByteCounter
from resultstore.store.lookup import Lookup
from resultstore.telemetry.logs import Log

_log = Log(__name__)


class RecordWriter:
    """Writes records into an index.

    Args:
        index: stores the records.
        lookup: reads seals, because a failure must not hide a sealed success.
        settings: gives the default lifetime of a record.
        byte_counter: counts the bytes of terminal Results.
    """

    def __init__(self, index: Index, lookup: Lookup, *, settings: Settings, byte_counter: ByteCounter) -> None:
        self._index = index
        self._lookup = lookup
        self._settings = settings
        self._byte_counter = byte_counter

    def save(self, result: Result, *, over: Overwrite = Overwrite.UNLESS_SUCCESS, ttl_s: int | None = None) -> bool:
        """Write the record: see `Store.save`."""
        now = time.time()
        length_s = self._settings.results.expires_s if ttl_s is None else ttl_s
        if result.expires_at is not None:
            length_s = max(1, min(length_s or sys.maxsize, int(result.expires_at - now)))
        may_be_sealed = result.terminal and result.state != State.SUCCESS and not result.ephemeral
        if may_be_sealed:
            try:
                if self._lookup.restore_readable(result.id):
                    return False
            except Damaged as error:
                _log.warning("seal_not_readable", id=result.id, error=str(error))
                result = _hidden_by(error, result)
        stamped = result.moved(result.state, changed_at=now)
        written = self._index.save(stamped, ttl_s=length_s or None, over=over)
        if not written and over is not Overwrite.IF_ABSENT and result.terminal:
            written = self._lookup.heal(stamped, ttl_s=length_s or None)
        return self._byte_counter.count_written(stamped, written=written)

    def show(self, result: Result) -> None:
        """Write a record, best effort: the seal, or the next record, has the same content."""
        try:
            self.save(result)
        except IndexUnavailable as error:
            _log.warning("record_not_saved", id=result.id, state=result.state, error=str(error))


def _hidden_by(error: Damaged, result: Result) -> Result:
    """Return a SealUnreadable failure in place of `result`: an earlier attempt succeeded, so its outcome counts.

    While this record exists, each look-up reads the seal again and so finds a restored one.
    """
    why = Failure(SealUnreadable.__name__, str(error), SealUnreadable.__module__)
    return result.moved(State.FAILURE, failure=why)
