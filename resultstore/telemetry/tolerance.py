"""FailureTolerance: lets a loop continue when one item fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from resultstore.model.errors import Unavailable
from resultstore.telemetry.logs import Log

IN_A_ROW: Final = 10


class FailureTolerance:
    """Skips failing items, and ends the loop when a server is away.

    A single bad object, record or message can raise the same error as a server that is away. Several consecutive
    failures mean that the server is away.

    Args:
        log: of the module with the loop.
        event: the log event for a failed item.
        in_a_row: the number of consecutive items failing with Unavailable after which the error is raised.
    """

    def __init__(self, log: Log, event: str, *, in_a_row: int = IN_A_ROW) -> None:
        self._log = log
        self._event = event
        self._max_in_a_row = in_a_row
        self._in_a_row = 0
        self.failed = 0
        self.last: Exception | None = None

    @contextmanager
    def each(self, **names: object) -> Iterator[None]:
        """Run the block for one item; log its error with `names`. Raise after too many Unavailable in a row."""
        try:
            yield
        except Unavailable as error:
            self._record(error, names)
            self._in_a_row += 1
            if self._in_a_row >= self._max_in_a_row:
                raise
        except Exception as error:  # noqa: BLE001 - any error concerns this item only
            self._record(error, names)
            self._in_a_row = 0
        else:
            self._in_a_row = 0

    def _record(self, error: Exception, names: dict[str, object]) -> None:
        self.failed += 1
        self.last = error
        self._log.warning(self._event, **names, error=repr(error))
