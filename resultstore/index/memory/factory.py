"""Factory of the scheme `memory://`: makes the index of this process."""

from collections.abc import Mapping

from resultstore.index.memory.driver import MemoryIndex
from resultstore.settings import Settings


def connect(settings: Settings, *, options: Mapping[str, object] | None = None) -> MemoryIndex:  # noqa: ARG001  Redis's
    """Return an empty index in the memory of this process."""
    return MemoryIndex()
