"""Registrations: the tasks that workers have registered, kept in the index for gateways."""

from collections.abc import Iterable
from typing import Final

from resultstore.index.index import Index
from resultstore.index.leases import Leases
from resultstore.model import layout

KEPT_S: Final = 7 * layout.DAY_S  # how long the tasks of a queue stay offered after its last worker has gone
RENEW_INTERVAL_S: Final = 60.0
_SETS_MAX: Final = 1_000
_SEPARATOR: Final = "\n"


class Registrations:
    """Names of the tasks that the workers of one queue run. Every method raises IndexUnavailable.

    Args:
        index: keeps the names.
        queue: name of the broker's queue.
    """

    def __init__(self, index: Index, queue: str) -> None:
        self._leases = Leases(index)
        self._key = layout.registered_key(queue)

    def note(self, tasks: Iterable[str]) -> None:
        """Keep the tasks of one worker for a week. Call it every `RENEW_INTERVAL_S`."""
        names = _SEPARATOR.join(sorted(tasks))
        self._leases.take(self._key, names, ttl_s=KEPT_S, most=_SETS_MAX)

    def tasks(self) -> frozenset[str]:
        """Return the tasks of all workers that registered in the last week."""
        return frozenset(name for names in self._leases.members(self._key) for name in names.split(_SEPARATOR) if name)
