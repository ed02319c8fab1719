"""Claims: gives back what was claimed, and nothing that is somebody else's by now."""

from typing import Final

from resultstore.index.index import Index, Keeps, RunsScripts

_GIVE_BACK: Final = "return {redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0}"


def give_back(index: Index, key: str, holder: str) -> None:
    """Let others claim `key`, if `holder` has it. Raises IndexUnavailable.

    An index that runs no scripts serves one process alone.
    """
    if isinstance(index, RunsScripts):
        index.run_script(_GIVE_BACK, keys=[key], args=(holder,))
    elif isinstance(index, Keeps) and index.kept(key) == holder.encode():
        index.drop(key)
