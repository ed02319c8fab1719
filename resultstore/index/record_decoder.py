"""RecordDecoder: decodes stored records, and skips unreadable ones when many are read."""

from collections.abc import Iterable

from resultstore.model import record
from resultstore.model.errors import RecordUnreadable
from resultstore.model.result import Result
from resultstore.telemetry.logs import Log

_log = Log(__name__)


class RecordDecoder:
    """Decodes the bytes of Results, and counts what it could not decode."""

    def __init__(self) -> None:
        self.unreadable_total = 0

    def decode_whole(self, result_id: str, main: bytes | None, beside: bytes | None) -> Result | None:
        """Return the Result, or None if the record or its larger parts are missing.

        Raises RecordUnreadable when the bytes are damaged or of a newer format.
        """
        if main is None:
            return None
        decoded = record.decode(result_id, main, beside)
        return None if beside is None and record.has_beside(main) else decoded

    def decode_small(self, result_id: str, main: bytes | None) -> Result | None:
        """Return the small record alone. Raises RecordUnreadable."""
        return None if main is None else record.decode(result_id, main, None)

    def decode_whole_many(self, found: Iterable[tuple[str, bytes | None, bytes | None]]) -> list[Result | None]:
        """Return `decode_whole` of each; None for an unreadable record, so that the others are still returned."""
        return [self._or_none(one, main, beside, is_whole=True) for one, main, beside in found]

    def decode_small_many(self, found: Iterable[tuple[str, bytes | None]]) -> list[Result | None]:
        """Return `decode_small` of each; None for an unreadable record."""
        return [self._or_none(one, main, None, is_whole=False) for one, main in found]

    def _or_none(self, result_id: str, main: bytes | None, beside: bytes | None, *, is_whole: bool) -> Result | None:
        try:
            return self.decode_whole(result_id, main, beside) if is_whole else self.decode_small(result_id, main)
        except RecordUnreadable as error:
            self.unreadable_total += 1
            _log.warning("record_unreadable", id=result_id, error=str(error))
            return None
