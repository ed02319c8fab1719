"""ResultStoreBackend: Celery's result backend over a Store."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, Final

from celery import Celery, states
from celery.backends.base import Backend, compress_payload
from celery.exceptions import BackendStoreError
from celery.result import AsyncResult

from resultstore.backends.celery import urls
from resultstore.backends.celery.addressing import RedisAttributes
from resultstore.backends.celery.capture.prefetch import Prefetcher
from resultstore.backends.celery.capture.resolver import Resolver
from resultstore.backends.celery.capture.return_value import HandsOnReferences
from resultstore.backends.celery.chord.groups import KeepsGroups
from resultstore.backends.celery.codec import kombu_types
from resultstore.backends.celery.codec.content_types import ContentTypes
from resultstore.backends.celery.codec.json_writer import read_text, written_text
from resultstore.backends.celery.codec.kombu_types import marked, unmarked
from resultstore.backends.celery.codec.serializers import JSON, NO_PICKLE, PICKLED
from resultstore.backends.celery.owners import inherited, owner_of
from resultstore.backends.celery.publish.announce import AnnouncesTasks
from resultstore.backends.celery.publish.timing import StartTimer
from resultstore.backends.celery.record.legacy import LegacyRecords, LegacyStore
from resultstore.backends.celery.record.meta import TaskMeta
from resultstore.backends.celery.record.reading import PollPlan, ResultDecoder
from resultstore.backends.celery.record.recording import failure_of, recorded
from resultstore.backends.celery.retry import MAX_RETRIES, is_worker, patiently
from resultstore.backends.celery.wait.awaiting import IsAwaited
from resultstore.backends.celery.wait.consumer import ResultConsumer
from resultstore.backends.celery.wait.pending import TakesAnyId
from resultstore.backends.celery.worker.malloc import MallocTuner
from resultstore.capture.run import sealed_record
from resultstore.capture.spills import Spills
from resultstore.connect import connect
from resultstore.index.index import Subscription
from resultstore.model.errors import Misconfigured, RecordUnreadable, ResultDeleted, Unavailable
from resultstore.model.ids import id_of
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.store.attempt import Attempt, around, inherited_owner
from resultstore.telemetry.redaction import secret_url

_REDIS_VALUE_MAX_BYTES: Final = 512 << 20
NO_BLOBS: Final = (
    "no object store is configured, so large results stay in Redis: set RESULTSTORE_BLOBS_URL (or ?blobs= in the "
    "backend's URL) to s3://bucket/prefix"
)


class ResultStoreBackend(TakesAnyId, HandsOnReferences, RedisAttributes, KeepsGroups, AnnouncesTasks, IsAwaited):
    """State and small values in Redis, large values and Artifacts in the object store.

    Args:
        app: the Celery app.
        url: `redis://host:6379/0`, `rediss://`, `socket:///path` or `sentinel://host:26379/0;sentinel://...`;
            `redis-cluster://host:6379;...`; `?blobs=s3://bucket/prefix` overrides RESULTSTORE_BLOBS_URL.
    """

    ResultConsumer = ResultConsumer
    supports_autoexpire = True
    supports_native_join = True
    supports_result_compression = True
    supports_failure_expires = True

    def __init__(self, app: Celery, url: str | None = None, **kwargs: object) -> None:
        url = url and secret_url(url)
        super().__init__(app=app, url=url, expires_type=int, **kwargs)
        if self.content_type == PICKLED:
            raise Misconfigured(NO_PICKLE)
        self.thread_safe = True
        self.max_retries: float = min(
            app.conf.get("result_backend_max_retries"), MAX_RETRIES
        )  # Celery's default is for ever
        kept_s = app.conf.get("result_failure_expires")
        self.failure_expires = self.expires if kept_s is None else self.prepare_expires(kept_s, type=int)
        kombu_types.register()
        place = urls.place(url, app.conf)
        self.store: Store = connect(place.settings, redis_options=place.redis_options)
        self._legacy = LegacyRecords(self)
        if place.legacy_redis:
            self.store = LegacyStore(self.store, self._legacy)
        self._reads_legacy, self._publishes_legacy = place.legacy_redis, place.publish_legacy
        if self.store.blobs is None:
            warnings.warn(NO_BLOBS, UserWarning, stacklevel=2)
        self._on_signals = (StartTimer(), MallocTuner(), self.attend_chords())
        self.listens, self.tracks_sent, index = True, place.track_sent, self.store.index
        self.hints = index.unconfirmed if self.store.blobs is not None else None
        self.spills = Spills(self.store)
        readable = ContentTypes((*(self.accept or ()), *(app.conf.accept_content or ())))
        self.resolver = Resolver(self.spills, readable=readable)
        self.prefetching = Prefetcher(partial(self.resolver.opened, cached=False))
        self.reading = ResultDecoder(
            self.store,
            decode=self.decode,
            resolved=self._resolved,
            exception_of=self.exception_to_python,
            timezone=lambda: app.timezone,
        )
        self.result_consumer = self.ResultConsumer(
            self, app, self.accept, self._pending_results, self._pending_messages
        )
        self._outgoing = self.mark_messages(self.note_workflows())

    def __reduce__(self, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - as Celery declares it
        return super().__reduce__(args, {**(kwargs or {}), "expires": self.expires, "url": self.url})

    # --- storing ----------------------------------------------------------------------------------------------------

    def encoded(self, value: object) -> bytes:
        """A plain value in the app's result serializer, compressed where `result_compression` makes it smaller."""
        payload = self._encode(self.prepare_value(value))[2]
        plain = payload if isinstance(payload, bytes) else payload.encode()
        if not self.compression:
            return plain
        packed: bytes = compress_payload(plain, self.compression)
        return packed if len(packed) < len(plain) else plain

    def decoded(self, payload: bytes | None) -> object:
        """What `encoded` was given; None for nothing."""
        return None if payload is None else self.decode(payload)

    def _encode(self, data: object) -> tuple[str, str, str | bytes]:
        if self.content_type == JSON and (text := written_text(data)) is not None:
            return self.content_type, self.content_encoding, text
        told: tuple[str, str, str | bytes] = super()._encode(data if self.content_type == JSON else marked(data))
        return told

    def decode(self, payload: bytes) -> Any:  # noqa: ANN401 - as Celery declares it
        """What stands in `payload`, by the app's result serializer; references stay what they are."""
        if self.content_type == JSON and (text := read_text(payload)) is not None:
            return text
        value = super().decode(payload)
        return value if self.content_type == JSON else unmarked(value)

    def _resolved(self, value: object) -> object:
        if not around():  # a client keeps the value in its AsyncResult
            return self.resolver.resolved(self.prefetching.taken(value), cached=False)
        return self.resolver.resolved(value, owner=inherited_owner())  # a task may be sent the same reference often

    def exception_safe_to_retry(self, exc: Exception) -> bool:
        """A server that is away may come back."""
        return isinstance(exc, Unavailable)

    def _store_result(
        self,
        task_id: str,
        result: object,
        state: str,
        traceback: str | None = None,
        request: Any = None,  # noqa: ANN401 - Celery's Context
        **_: object,
    ) -> object:
        """One transition: a success that stands is never written over, and no other record is read for it."""
        meta = self._get_result_meta(result, state, traceback, request, format_date=False, encode=False)
        try:
            plain = getattr(request, "resultstore_sealed", None) or self._plain(
                task_id, result, state=state, request=request
            )
        except ResultDeleted:  # while it was made: nothing of it is stored
            return result
        life_s = self._life_s(state, request)

        def write() -> bool:
            owner = self._owner(task_id, request)
            return self.store.save(recorded(plain, meta, request, owner=owner, encoded=self.encoded), ttl_s=life_s)

        # Celery's own retries, where `always_retry` is set, are around this; a web thread is not to wait a minute.
        is_patient = not self.always_retry and (is_worker(request) or "retry_policy" in self._transport)
        written = patiently(write, policy=self.retry_policy) if is_patient else write()
        if written and self._publishes_legacy:
            told = self._get_result_meta(self._resolved(result), state, traceback, request)
            self._legacy.publish(task_id, told, ttl_s=life_s)
        return result

    def _plain(self, task_id: str, result: object, *, state: str, request: Any) -> Result:  # noqa: ANN401 - Celery's Context
        value = self.encoded(result)
        if _is_own(task_id, request):
            request.resultstore_value_bytes = len(value)
        large = len(value) > self.store.settings.results.inline_max_bytes
        if large and state == states.SUCCESS and self.store.blobs is not None:
            attempt = Attempt(task_id, task=getattr(request, "task", None) or "", owner=self._owner(task_id, request))
            return sealed_record(self.store, attempt, value=value)
        if len(value) > _REDIS_VALUE_MAX_BYTES:
            raise BackendStoreError(f"the value of {task_id} is over 512 MB: set RESULTSTORE_BLOBS_URL to keep such")
        return Result(id=task_id, value=value, failure=failure_of(result) if state in states.EXCEPTION_STATES else None)

    def _owner(self, task_id: str, request: object) -> str:
        if _is_own(task_id, request):
            return owner_of(request)
        # Somebody speaks of a task that is not his own (a chord's failure, `update_state`): it stays its owner's.
        try:
            found = self.store.index.peek(task_id)
        except RecordUnreadable:
            found = None
        return inherited() if found is None else found.owner

    def _life_s(self, state: str, request: object) -> int:
        life_s = self.failure_expires if state == states.FAILURE else self.expires
        # The body of a chord reads its header's results: they live as long as the chord does.
        in_header = bool(getattr(request, "chord", None))
        return int(self.header_life_s if in_header and life_s else life_s or 0)

    # --- looking up -------------------------------------------------------------------------------------------------

    @cached_property
    def retry_policy(self) -> dict[str, Any]:
        """How often and how fast a failed write is tried again."""
        return {**Backend.retry_policy, **(self._transport.get("retry_policy") or {})}

    @property
    def _transport(self) -> Mapping[str, Any]:
        options: Mapping[str, Any] = self.app.conf.get("result_backend_transport_options") or {}
        return options

    def get_state(self, task_id: str) -> str:
        """The state alone: no value is read, whatever its size."""
        found = self.store.peek(id_of(task_id))
        return states.PENDING if found is None else str(found.state)

    def task_result_exists(self, task_id: str) -> bool:
        """Whether anything is known of the id."""
        return self.store.peek(id_of(task_id)) is not None

    def meta_from_decoded(self, meta: dict[str, Any]) -> dict[str, Any]:
        """`meta` with its exception restored; a Meta does that by itself."""
        return meta if isinstance(meta, TaskMeta) else dict(super().meta_from_decoded(meta))

    def get_many(  # noqa: PLR0917 - Celery's signature
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        interval: float | None = 0.5,
        no_ack: bool = True,  # noqa: FBT001, FBT002, ARG002 - Celery's signature
        on_message: Callable[[TaskMeta], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        max_iterations: int | None = None,
        READY_STATES: frozenset[str] = states.READY_STATES,  # noqa: N803 - Celery's signature
    ) -> Iterator[tuple[str, TaskMeta]]:
        """Each id with its meta once it is ready; one round trip for all that are left, every `interval` seconds."""
        rounds = PollPlan(
            timeout_s=timeout,
            pause_s=0.5 if interval is None else interval,
            most=max_iterations,
            between=on_interval,
        )
        asked = {id_of(one): one for one in task_ids}
        for meta in self.reading.as_ready(asked, rounds, ready_states=READY_STATES):
            if on_message is not None:
                on_message(meta)
            yield asked[str(meta["task_id"])], meta

    def wait_for_pending(
        self,
        result: AsyncResult,
        callback: Callable[[str, object], object] | None = None,
        propagate: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
        on_interval: Callable[[], object] | None = None,
        **kwargs: object,
    ) -> object:
        """Wait for one result; return its value or raise its error, a parent's before its own.

        Celery raises a parent's error in `on_interval`. What is ready at the first look never comes to one.
        """
        self._ensure_not_eager()
        for _ in self._wait_for_pending(result, on_interval=on_interval, **kwargs):
            pass
        if on_interval is not None and result.state in states.PROPAGATE_STATES:
            on_interval()
        return result.maybe_throw(callback=callback, propagate=propagate)

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        found = self.store.peek(task_id)
        if found is not None and found.terminal:
            self.result_consumer.glance()
        elif found is not None and found.unread:
            found = self.store.load(task_id)  # at once: by the time it is looked at, it may be another state's
        return {"status": states.PENDING, "result": None} if found is None else TaskMeta(found, self.reading)

    def new_line(self) -> Subscription:
        """A line that hears many ids."""
        return self._legacy.line() if self._reads_legacy else self.store.index.events.open_subscription()

    def forget(self, task_id: str) -> None:
        """Delete the result, and stop hearing of it."""
        super().forget(id_of(task_id))
        self.result_consumer.cancel_for(id_of(task_id))

    def _forget(self, task_id: str) -> None:
        self.store.delete(task_id)


def _is_own(task_id: str, request: Any) -> bool:  # noqa: ANN401 - Celery's Context
    """Return whether `request` is that of the task itself, and not of another one that speaks of it."""
    return getattr(request, "id", None) is not None and id_of(request.id) == task_id
