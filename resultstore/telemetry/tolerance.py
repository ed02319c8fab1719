"""Tolerance: lets a loop over many things go on when one of them fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from resultstore.model.errors import Unavailable
from resultstore.telemetry.logs import Log

IN_A_ROW: Final = 10


class FailureTolerance:
    """Passes over what fails, and ends the loop when a server is away.

    One bad object, record or message can look like a server that is away, and the reverse. So one failure tells
    nothing, and several in a row tell that the next ones would fail too.

    Args:
        log: of the module whose loop it is.
        event: the log's event for one thing that failed.
        in_a_row: after so many things in a row that failed with Unavailable, the last error is raised.
    """

    def __init__(self, log: Log, event: str, *, in_a_row: int = IN_A_ROW) -> None:
        self._log = log
        self._event = event
        self._most = in_a_row
        self._in_a_row = 0
        self.failed = 0
        self.last: Exception | None = None

    @contextmanager
    def each(self, **names: object) -> Iterator[None]:
        """Run the block for one thing; log its error with `names`. Raises the last of too many Unavailable in a row."""
        try:
            yield
        except Unavailable as error:
            self._note(error, names)
            self._in_a_row += 1
            if self._in_a_row >= self._most:
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns this one thing
            self._note(error, names)
            self._in_a_row = 0
        else:
            self._in_a_row = 0

    def _note(self, error: Exception, names: dict[str, object]) -> None:
        self.failed += 1
        self.last = error
        self._log.warning(self._event, **names, error=repr(error))
