"""ArchiveSlots: bounds how many archives one gateway streams at the same time."""

from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from anyio import CapacityLimiter

from resultstore.gateway.problems import Problem

PER_OWNER: Final = 2
_RETRY_AFTER_S: Final = 10


class ArchiveSlots:
    """Belongs to one event loop. `threads` limits the threads that read for archives.

    Args:
        at_once: the most archives of all owners together.
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._owners: Counter[str] = Counter()
        self._threads: CapacityLimiter | None = None

    @property
    def threads(self) -> CapacityLimiter:
        """The limit of threads; made at the first use, as it belongs to the running event loop."""
        if self._threads is None:
            self._threads = CapacityLimiter(max(1, self._at_once))
        return self._threads

    @property
    def used(self) -> int:
        """The number of archives that are being prepared or streamed."""
        return self._owners.total()

    def take(self, owner: str) -> "ArchiveSlot":
        """Count an archive of this owner until the slot is released. Raises Problem 429 `quota` if it is one too many.

        Call it in the event loop, before any work for the archive: a refusal must cost nothing.
        """
        if self.used >= self._at_once or self._owners[owner] >= PER_OWNER:
            detail = "too many archives are being downloaded at this moment: try again when one has ended"
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "quota", detail, headers={"Retry-After": str(_RETRY_AFTER_S)})

        self._owners[owner] += 1
        return ArchiveSlot(owner, self._release)

    def _release(self, owner: str) -> None:
        self._owners[owner] -= 1
        if not self._owners[owner]:
            del self._owners[owner]


class ArchiveSlot:
    """One counted archive of `owner`.

    Args:
        owner: whose archive it is.
        release: uncounts it; called once.
    """

    def __init__(self, owner: str, release: Callable[[str], None]) -> None:
        self.owner = owner
        self._release: Callable[[str], None] | None = release

    def release(self) -> None:
        """Free the slot. Safe to repeat."""
        release, self._release = self._release, None
        if release is not None:
            release(self.owner)
