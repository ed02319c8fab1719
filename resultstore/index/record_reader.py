"""RecordReader: decodes records, and skips those that cannot be read where many are asked for."""

import logging
from collections.abc import Iterable

from resultstore.model import record
from resultstore.model.errors import RecordUnreadable
from resultstore.model.result import Result

_log = logging.getLogger(__name__)


class RecordReader:
    """Decodes what an index stores of Results, and counts what it could not decode."""

    def __init__(self) -> None:
        self.unreadable_total = 0

    def whole(self, result_id: str, main: bytes | None, beside: bytes | None) -> Result | None:
        """The Result; None where the record is missing, or the part beside it that belongs to it.

        Raises RecordUnreadable when the bytes are damaged or of a newer format.
        """
        if main is None:
            return None
        read = record.decode(result_id, main, beside)
        return None if beside is None and record.has_beside(main) else read

    def small(self, result_id: str, main: bytes | None) -> Result | None:
        """The small record alone. Raises RecordUnreadable."""
        return None if main is None else record.decode(result_id, main, None)

    def whole_of_many(self, found: Iterable[tuple[str, bytes | None, bytes | None]]) -> list[Result | None]:
        """`whole` of each; None where it cannot be read: one bad record keeps nobody from the others."""
        return [self._or_none(one, main, beside, is_whole=True) for one, main, beside in found]

    def small_of_many(self, found: Iterable[tuple[str, bytes | None]]) -> list[Result | None]:
        """`small` of each; None where it cannot be read."""
        return [self._or_none(one, main, None, is_whole=False) for one, main in found]

    def _or_none(self, result_id: str, main: bytes | None, beside: bytes | None, *, is_whole: bool) -> Result | None:
        try:
            return self.whole(result_id, main, beside) if is_whole else self.small(result_id, main)
        except RecordUnreadable as error:
            self.unreadable_total += 1
            _log.warning("record_unreadable id=%r error=%r", result_id, str(error))
            return None
