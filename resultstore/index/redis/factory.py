"""Factory of the schemes of Redis: makes the driver that settings describe."""

from collections.abc import Mapping

from resultstore.index.redis.driver import RedisIndex
from resultstore.settings import Settings


def connect(settings: Settings, *, options: Mapping[str, object] | None = None) -> RedisIndex:
    """Return the index on the Redis of RESULTSTORE_INDEX_URL; `options` are redis-py's. Sends no request yet."""
    return RedisIndex(settings.index.url, prefix=settings.index.key_prefix, options=options)
