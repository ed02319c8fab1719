"""Addressing: where a backend's records are, for code that looks at Redis or at errors by itself."""

from typing import Any, Final

import redis
from celery.backends.base import BaseKeyValueStoreBackend

from resultstore.backends.celery import urls
from resultstore.model import layout
from resultstore.model.errors import Unavailable
from resultstore.model.ids import id_of
from resultstore.store import Store


class RedisAttributes(BaseKeyValueStoreBackend):
    """The attributes of Celery's Redis backend that other programs read: its URL, client, keys and errors."""

    store: Store
    url: str | None

    connection_errors: Final = (Unavailable, redis.ConnectionError, redis.TimeoutError)
    """What is raised while a server is away. Flower answers 503 for these and 500 for all else."""
    channel_errors: Final = (redis.DataError, redis.InvalidResponse, redis.ResponseError)

    def as_uri(self, include_password: bool = False) -> str:  # noqa: FBT001, FBT002 - Celery's signature
        """Return the URL with its `resultstore+`, by default without passwords and query."""
        url = urls.PREFIX + (self.url or "").removeprefix(urls.PREFIX)
        return url if include_password else urls.hidden(url)

    @property
    def client(self) -> Any:  # noqa: ANN401 - Celery's name for redis-py's client
        """The Redis client, for whoever looks into Redis himself."""
        return getattr(self.store.index, "client")  # noqa: B009 - only an index in Redis has one

    def get_key_for_task(self, task_id: str, key: str = "") -> bytes:
        """Where the record of a task stands in Redis."""
        return (self.store.settings.index.key_prefix + layout.record_key(id_of(task_id)) + key).encode()

    def get_key_for_group(self, group_id: str, key: str = "") -> bytes:
        """Where a group or a part of a chord stands in Redis."""
        return (self.store.settings.index.key_prefix + layout.group_key(id_of(group_id), key)).encode()
