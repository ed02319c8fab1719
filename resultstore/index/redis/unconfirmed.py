"""RedisUnconfirmedWrites: writes that do not wait for Redis."""

from resultstore.index.redis.key_names import RedisKeyNames
from resultstore.index.redis.retrying import RetryingClient
from resultstore.model import record
from resultstore.model.result import Result


class RedisUnconfirmedWrites:
    """Implements `UnconfirmedWrites`.

    Args:
        client: sends the requests.
        names: of records and of callers' own keys.
    """

    def __init__(self, client: RetryingClient, names: RedisKeyNames) -> None:
        self._client = client
        self._names = names

    def save_if_absent(self, result: Result, *, ttl_s: int | None) -> None:
        """Write the small record if there is none. Larger parts are left out."""
        main, _ = record.encode(result)
        life = () if ttl_s is None else ("PX", str(ttl_s * 1000))
        self._client.current().send_unconfirmed("SET", self._names.record(result.id), main, "NX", *life)

    def add_note(self, key: str, note: str, *, ttl_s: int | None) -> None:
        """Add `note` to the set under `key`."""
        named = self._names.own(key)
        self._client.current().send_unconfirmed("SADD", named, note)
        if ttl_s is not None:
            self._client.current().send_unconfirmed("EXPIRE", named, str(ttl_s))

    def read_notes(self, key: str) -> frozenset[str]:
        """Return the notes under `key`."""
        return frozenset(self._client.ask(lambda client: client.read_members(self._names.own(key))))
