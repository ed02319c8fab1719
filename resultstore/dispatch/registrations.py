"""Registrations: which tasks workers have registered, kept in the index for gateways."""

from collections.abc import Iterable
from typing import Final

from resultstore.index.index import Index
from resultstore.index.leases import Leases
from resultstore.model import layout

KEPT_FOR_S: Final = 7 * layout.DAY_S  # so long all workers of a queue may be away, and its tasks are offered
RENEWED_S: Final = 60.0
_SETS_MAX: Final = 1_000
_SEPARATOR: Final = "\n"


class Registrations:
    """The names of the tasks that the workers of one queue take. Every method raises IndexUnavailable.

    Args:
        index: where they are kept.
        queue: the broker's queue.
    """

    def __init__(self, index: Index, queue: str) -> None:
        self._leases = Leases(index)
        self._key = layout.registered_key(queue)

    def note(self, tasks: Iterable[str]) -> None:
        """Keep the tasks of one worker for a week; call it again before that."""
        said = _SEPARATOR.join(sorted(tasks))
        self._leases.take(self._key, said, ttl_s=KEPT_FOR_S, most=_SETS_MAX)

    def tasks(self) -> frozenset[str]:
        """Return the tasks of all workers that were there in the last week."""
        return frozenset(name for said in self._leases.held(self._key) for name in said.split(_SEPARATOR) if name)
