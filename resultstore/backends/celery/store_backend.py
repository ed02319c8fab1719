"""StoreBackend: what connects Celery's key-value backend to a Store: settings, encoding, keys and errors."""

import warnings
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any, Final

import msgspec
import redis
from celery import Celery
from celery.backends.base import Backend
from kombu.exceptions import EncodeError

from resultstore.backends.celery import urls
from resultstore.backends.celery.capture.prefetch import Prefetcher
from resultstore.backends.celery.capture.resolver import Resolver
from resultstore.backends.celery.codec import kombu_types
from resultstore.backends.celery.codec.content_types import ContentTypes
from resultstore.backends.celery.codec.json_writer import decode_text, encode_long_text
from resultstore.backends.celery.codec.kombu_types import read_references, write_references
from resultstore.backends.celery.codec.serializers import JSON, NO_PICKLE, PICKLED
from resultstore.backends.celery.compat import KeyValueBackend, compress_payload
from resultstore.backends.celery.record.legacy import LegacyRecords, LegacyStore
from resultstore.backends.celery.retry import MAX_RETRIES
from resultstore.capture.adapters import explain_unwritable
from resultstore.capture.spills import Spills
from resultstore.connect import connect
from resultstore.model import layout
from resultstore.model.errors import Misconfigured, Unavailable
from resultstore.model.ids import id_of
from resultstore.store import Store
from resultstore.store.attempt import inherited_owner, possible_attempts
from resultstore.telemetry.redaction import secret_url

NO_BLOBS: Final = (
    "no object store is configured, so large results stay in Redis: set RESULTSTORE_BLOBS_URL (or ?blobs= in the "
    "backend's URL) to s3://bucket/prefix"
)


class StoreBackend(KeyValueBackend):
    """Celery's key-value backend over a Store; neither waits nor sends.

    Args:
        app: the Celery app.
        url: as `ResultStoreBackend` takes it.
    """

    supports_autoexpire = True
    supports_result_compression = True
    supports_failure_expires = True
    connection_errors: Final = (Unavailable, redis.ConnectionError, redis.TimeoutError)
    """Raised while a server is unavailable. Flower answers 503 for these and 500 for all others."""
    channel_errors: Final = (redis.DataError, redis.InvalidResponse, redis.ResponseError)

    def __init__(self, app: Celery, url: str | None = None, **kwargs: object) -> None:
        url = url and secret_url(url)
        super().__init__(app=app, url=url, expires_type=int, **kwargs)
        if self.content_type == PICKLED:
            raise Misconfigured(NO_PICKLE)
        self.thread_safe = True
        self.max_retries: float = min(app.conf.get("result_backend_max_retries"), MAX_RETRIES)  # no limit in Celery
        kept_s = app.conf.get("result_failure_expires")
        self.failure_expires = self.expires if kept_s is None else self.prepare_expires(kept_s, type=int)
        kombu_types.register()
        self.servers = urls.read_servers(url, app.conf)
        self.store: Store = connect(self.servers.settings, redis_options=self.servers.redis_options)
        self.legacy = LegacyRecords(self)
        if self.servers.legacy_redis:
            self.store = LegacyStore(self.store, self.legacy)
        if self.store.blobs is None:
            warnings.warn(NO_BLOBS, UserWarning, stacklevel=3)
        self.spills = Spills(self.store)
        readable = ContentTypes((*(self.accept or ()), *(app.conf.accept_content or ())))
        self.resolver = Resolver(self.spills, readable=readable)
        self.prefetcher = Prefetcher(partial(self.resolver.fetch, cached=False))

    def __reduce__(self, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - as Celery declares it
        return super().__reduce__(args, {**(kwargs or {}), "expires": self.expires, "url": self.url})

    def encoded(self, value: object) -> bytes:
        """Return a plain value in the app's result serializer, compressed if `result_compression` makes it smaller."""
        payload = self._encode(self.prepare_value(value))[2]
        plain = payload if isinstance(payload, bytes) else payload.encode()
        if not self.compression:
            return plain
        packed: bytes = compress_payload(plain, self.compression)
        return packed if len(packed) < len(plain) else plain

    def encoded_extra(self, extra: Mapping[str, object]) -> bytes:
        """Return further entries of a task's meta as `encoded` does, but without the spaces of JSON.

        The ids of children, parent and group are most of the record of a task in a chain.
        """
        payload = self.encoded(extra)
        is_plain = self.content_type == JSON and payload.startswith(b"{")  # and not compressed
        if not is_plain:
            return payload
        try:
            return msgspec.json.format(payload, indent=-1)
        except (msgspec.MsgspecError, RecursionError):  # Python's JSON also has NaN, Infinity and lone surrogates
            return payload

    def decoded(self, payload: bytes | None) -> object:
        """Return what `encoded` was given; None for None."""
        return None if payload is None else self.decode(payload)

    def _encode(self, data: object) -> tuple[str, str, str | bytes]:
        if self.content_type == JSON and isinstance(data, str) and (text := encode_long_text(data)) is not None:
            return self.content_type, self.content_encoding, text
        try:
            encoded: tuple[str, str, str | bytes] = super()._encode(
                data if self.content_type == JSON else write_references(data)
            )
        except EncodeError as error:
            explained = explain_unwritable(data)
            if not explained:
                raise
            raise EncodeError(f"{explained} ({error})") from error
        return encoded

    def decode(self, payload: bytes) -> Any:  # noqa: ANN401 - as Celery declares it
        """Decode `payload` with the app's result serializer; references are not resolved."""
        if self.content_type == JSON and (text := decode_text(payload)) is not None:
            return text
        value = super().decode(payload)
        return value if self.content_type == JSON else read_references(value)

    def resolve(self, value: object) -> object:
        """Return `value` with the values of its references."""
        if not possible_attempts():  # a client keeps the value in its AsyncResult
            return self.resolver.resolve(self.prefetcher.take(value), cached=False)
        return self.resolver.resolve(value, owner=inherited_owner())  # a task may be sent the same reference often

    @cached_property
    def retry_policy(self) -> dict[str, Any]:
        """How often and how fast a failed write is repeated."""
        return {**Backend.retry_policy, **(self.transport_options.get("retry_policy") or {})}

    @property
    def transport_options(self) -> Mapping[str, Any]:
        """`result_backend_transport_options`."""
        options: Mapping[str, Any] = self.app.conf.get("result_backend_transport_options") or {}
        return options

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """Return True for a server that is unavailable and may be back soon."""
        return isinstance(exc, Unavailable)

    def as_uri(self, include_password: bool = False) -> str:  # noqa: FBT001, FBT002 - Celery's signature
        """Return the URL with its `resultstore+`, by default without passwords and query."""
        url = urls.PREFIX + (self.url or "").removeprefix(urls.PREFIX)
        return url if include_password else urls.without_secrets(url)

    @property
    def client(self) -> Any:  # noqa: ANN401 - Celery's name for redis-py's client
        """The Redis client, for programs that read Redis themselves."""
        return getattr(self.store.index, "client")  # noqa: B009 - only an index in Redis has one

    def get_key_for_task(self, task_id: str, key: str = "") -> bytes:
        """Return the Redis key of a task's record."""
        return (self.store.settings.index.key_prefix + layout.record_key(id_of(task_id)) + key).encode()

    def get_key_for_group(self, group_id: str, key: str = "") -> bytes:
        """Return the Redis key of a group, or of a part of a chord."""
        return (self.store.settings.index.key_prefix + layout.group_key(id_of(group_id), key)).encode()
