"""RedisKeys: small bytes under callers' own keys in Redis."""

from collections.abc import Sequence

from resultstore.index.redis.client import Argument
from resultstore.index.redis.key_names import RedisKeyNames
from resultstore.index.redis.retrying import RetryingClient


class RedisKeys:
    """Implements `Keys` and `ScriptRunner`.

    Args:
        client: sends the requests.
        names: add the prefix.
    """

    def __init__(self, client: RetryingClient, names: RedisKeyNames) -> None:
        self._client = client
        self._names = names

    def read(self, key: str) -> bytes | None:
        """Return what is stored under `key`, or None."""
        return self._client.ask(lambda client: client.get(self._names.own(key)))

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what `read` returns for each key, by MGET."""
        return self._client.read([self._names.own(one) for one in keys])

    def keep(self, key: str, content: bytes, *, ttl_s: int | None) -> None:
        """Store `content` for `ttl_s` (None: forever), replacing what is there."""
        self._client.ask(lambda client: client.redis_py.set(self._names.own(key), content, ex=ttl_s))

    def drop(self, key: str) -> None:
        """Delete `key`."""
        self._client.ask(lambda client: client.redis_py.unlink(self._names.own(key)))

    def claim(self, key: str, holder: str, *, ttl_s: int) -> bool:
        """Take a lock with a lease of `ttl_s`. Return whether `holder` has it now."""
        return bool(self._client.ask(lambda client: client.claim([self._names.own(key)], [holder, ttl_s])))

    def run_script(self, script: str, *, keys: Sequence[str], args: Sequence[Argument]) -> list[object]:
        """Run `script` on `keys` of one Cluster slot. A lost answer repeats it."""
        named = [self._names.own(key) for key in keys]
        return self._client.ask(lambda client: client.script(script, named, args))
