"""Claims: release of a claimed key by its holder."""

from typing import Final

from resultstore.index.index import Keys, ScriptRunner

_RELEASE: Final = "return {redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0}"


def release_claim(keys: Keys, key: str, holder: str) -> None:
    """Delete `key` if `holder` has claimed it. Raises IndexUnavailable.

    Without scripts the keys serve one process only, so two steps are enough.
    """
    if isinstance(keys, ScriptRunner):
        keys.run_script(_RELEASE, keys=[key], args=(holder,))
    elif keys.read(key) == holder.encode():
        keys.drop(key)
