"""RedisKeyNames: the names of keys and channels in one Redis."""

from resultstore.model import layout
from resultstore.model.errors import BadReference, Misconfigured


class RedisKeyNames:
    """`layout`'s names with a prefix.

    Args:
        prefix: the beginning of every key and channel.
        is_cluster: whether ids need a slot of a Redis Cluster.
    """

    def __init__(self, prefix: str, *, is_cluster: bool) -> None:
        if "{" in prefix or "}" in prefix:
            raise Misconfigured(f"the prefix {prefix!r} of Redis keys has a brace: braces select the Cluster slot")
        self.prefix = prefix
        self._is_cluster = is_cluster

    def own(self, key: str) -> str:
        """Return the caller's own key."""
        return self.prefix + key

    def record(self, result_id: str) -> str:
        """Return the key of the small record. Raises BadReference for an id without a Cluster slot."""
        if result_id.startswith("}") and self._is_cluster:
            raise BadReference(f"the id {result_id!r} begins with a brace: a Redis Cluster has no slot for it")
        return self.prefix + layout.record_key(result_id)

    def pair(self, result_id: str) -> list[str]:
        """Return the keys of the small record and of its larger parts."""
        return [self.record(result_id), self.prefix + layout.beside_key(result_id)]

    def channel(self, result_id: str) -> str:
        """Return the channel of an id."""
        return self.prefix + layout.channel(result_id)

    def owner_channel(self, owner: str) -> str:
        """Return the channel of an owner."""
        return self.prefix + layout.owner_channel(owner)

    def listed(self, owner: str) -> str:
        """Return the sorted set of the owner's ids by creation time."""
        return self.prefix + layout.owner_key(owner)

    def stored(self, owner: str) -> str:
        """Return the sorted set of the owner's ids by the expiry of their stored bytes."""
        return self.prefix + layout.owner_stored_key(owner)

    def stream(self, owner: str) -> str:
        """Return the stream of the owner's Events."""
        return self.prefix + layout.owner_stream_key(owner)
