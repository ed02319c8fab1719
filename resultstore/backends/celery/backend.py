"""ResultStoreBackend: Celery's result backend over a Store."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any, Final

from celery import Celery, states
from celery._state import task_join_will_block
from celery.backends.asynchronous import AsyncBackendMixin
from celery.backends.base import Backend, BaseKeyValueStoreBackend, compress_payload
from celery.exceptions import BackendStoreError, TimeoutError as CeleryTimeoutError
from celery.result import GroupResult, result_from_tuple
from celery.utils.functional import _regen
from structlog import get_logger

from resultstore.backends.celery import artifacts, urls
from resultstore.backends.celery.chords import Chords
from resultstore.backends.celery.consumer import ResultConsumer
from resultstore.backends.celery.meta import Meta
from resultstore.backends.celery.patience import MAX_RETRIES, patiently
from resultstore.backends.celery.reading import Reading
from resultstore.backends.celery.recording import failure_of, recorded
from resultstore.capturing import sealed_record
from resultstore.connect import connect
from resultstore.index.index import HasLine, Keeps, Line, Over, RunsScripts
from resultstore.model import layout
from resultstore.model.errors import Misconfigured, Unavailable
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.store.attempt import Attempt

_REDIS_VALUE_MAX_BYTES: Final = 512 << 20
_PICKLED: Final = "application/x-python-serialize"
NO_PICKLE: Final = (
    "result_serializer pickle is refused: whoever can write into Redis or the bucket could run code where a result is "
    "read; use json (the default), yaml or msgpack"
)


class ResultStoreBackend(BaseKeyValueStoreBackend, AsyncBackendMixin):
    """State and small values in Redis, large values and Artifacts in the object store.

    Args:
        app: the Celery app.
        url: `redis://host:6379/0`, `rediss://`, `socket:///path` or `sentinel://host:26379/0;sentinel://...`;
            `?blobs=s3://bucket/prefix` overrides RESULTSTORE_BLOBS_URL.
    """

    ResultConsumer = ResultConsumer
    supports_autoexpire = True
    supports_native_join = True
    supports_result_compression = True
    supports_failure_expires = True

    def __init__(self, app: Celery, url: str | None = None, **kwargs: object) -> None:
        super().__init__(app=app, url=url, expires_type=int, **kwargs)
        if self.content_type == _PICKLED:
            raise Misconfigured(NO_PICKLE)
        self.thread_safe = True
        self.max_retries: float = min(
            app.conf.get("result_backend_max_retries"), MAX_RETRIES
        )  # Celery's default is for ever
        kept_s = app.conf.get("result_failure_expires")
        self.failure_expires = self.expires if kept_s is None else self.prepare_expires(kept_s, type=int)
        artifacts.register()
        place = urls.place(url, app.conf)
        self.store: Store = connect(place.settings, redis_options=place.redis_options)
        if self.store.blobs is None:
            get_logger().warning("no_object_store", remedy="set RESULTSTORE_BLOBS_URL: large values stay in Redis")
        self.reading = Reading(self.store, decode=self.decode, exception_of=self.exception_to_python)
        self.result_consumer = self.ResultConsumer(
            self, app, self.accept, self._pending_results, self._pending_messages
        )

    def __reduce__(self, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - as Celery declares it
        return super().__reduce__(args, {**(kwargs or {}), "expires": self.expires, "url": self.url})

    def as_uri(self, include_password: bool = False) -> str:  # noqa: FBT001, FBT002 - Celery's signature
        """The URL, by default without passwords and query."""
        url: str = self.url or ""
        return url if include_password else urls.hidden(url)

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

    def on_task_call(self, producer: object, task_id: str) -> None:  # noqa: ARG002 - Celery's signature
        """Hear the id before it is sent; write its PENDING record, so that polls of it never ask the object store."""
        if not task_join_will_block():
            self.result_consumer.expect(task_id)
        if self.store.blobs is not None:
            self.store.save(Result(id=task_id, created_at=time.time()), over=Over.NOTHING, ttl_s=self.expires or 0)

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
        plain = getattr(request, "resultstore_sealed", None) or self._plain(
            task_id, result, state=state, request=request
        )
        record = recorded(plain, meta, request, encoded=self.encoded)
        life_s = self._life_s(state, request)
        write = partial(self.store.save, record, ttl_s=life_s)
        if self.always_retry:  # which has a policy of its own, around this
            write()
        else:
            patiently(write, policy=self.retry_policy)
        return result

    def _plain(self, task_id: str, result: object, *, state: str, request: Any) -> Result:  # noqa: ANN401 - Celery's Context
        value = self.encoded(result)
        if request is not None and getattr(request, "id", None) == task_id:
            request.resultstore_value_bytes = len(value)
        large = len(value) > self.store.settings.inline_max_bytes
        if large and state == states.SUCCESS and self.store.blobs is not None:
            attempt = Attempt(task_id, task=getattr(request, "task", None) or "")
            return sealed_record(self.store, attempt, value=value)
        if len(value) > _REDIS_VALUE_MAX_BYTES:
            raise BackendStoreError(f"the value of {task_id} is over 512 MB: set RESULTSTORE_BLOBS_URL to keep such")
        return Result(id=task_id, value=value, failure=failure_of(result) if state in states.EXCEPTION_STATES else None)

    def _life_s(self, state: str, request: object) -> int:
        life_s = self.failure_expires if state == states.FAILURE else self.expires
        # The body of a chord reads its header's results: they live as long as the chord does.
        in_header = bool(getattr(request, "chord", None))
        return int(self.header_life_s if in_header and life_s else life_s or 0)

    @property
    def header_life_s(self) -> int:
        """How long a chord's header results and its saved group live, in seconds; 0 for ever."""
        return max(self.chord_expires, self.expires) if self.chord_expires and self.expires else 0

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
        found = self.store.peek(task_id)
        return states.PENDING if found is None else str(found.state)

    def task_result_exists(self, task_id: str) -> bool:
        """Whether anything is known of the id."""
        return self.store.peek(task_id) is not None

    def meta_from_decoded(self, meta: dict[str, Any]) -> dict[str, Any]:
        """`meta` with its exception restored; a Meta does that by itself."""
        return meta if isinstance(meta, Meta) else dict(super().meta_from_decoded(meta))

    def get_many(  # noqa: PLR0917 - Celery's signature
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        interval: float | None = 0.5,
        no_ack: bool = True,  # noqa: FBT001, FBT002, ARG002 - Celery's signature
        on_message: Callable[[Meta], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        max_iterations: int | None = None,
        READY_STATES: frozenset[str] = states.READY_STATES,  # noqa: N803 - Celery's signature
    ) -> Iterator[tuple[str, Meta]]:
        """Each id with its meta once it is ready; one round trip for all that are left, every `interval` seconds."""
        left = set(task_ids)
        end = None if timeout is None else time.monotonic() + timeout
        rounds = 0
        while True:
            for meta in self.reading.metas(left):
                if meta["status"] in READY_STATES:
                    left.discard(str(meta["task_id"]))
                    if on_message is not None:
                        on_message(meta)
                    yield str(meta["task_id"]), meta
            rounds += 1
            if not left or (max_iterations is not None and rounds >= max_iterations):
                return
            if end is not None and time.monotonic() >= end:
                raise CeleryTimeoutError(f"{len(left)} results were not ready after {timeout} s")
            if on_interval is not None:
                on_interval()
            pause_s = 0.5 if interval is None else interval
            time.sleep(pause_s if end is None else max(0.0, min(pause_s, end - time.monotonic())))

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        found = self.store.peek(task_id)
        if found is not None and found.unread and not found.terminal:
            found = self.store.load(task_id)  # at once: by the time it is looked at, it may be another state's
        return {"status": states.PENDING, "result": None} if found is None else Meta(found, self.reading)

    def new_line(self) -> Line:
        """A line that hears many ids."""
        if not isinstance(self.store.index, HasLine):
            raise Misconfigured("this index cannot be waited on by Celery: use redis:// in the backend's URL")
        return self.store.index.line()

    def forget(self, task_id: str) -> None:
        """Delete the result, and stop hearing of it."""
        super().forget(task_id)
        self.result_consumer.cancel_for(task_id)

    def _forget(self, task_id: str) -> None:
        self.store.delete(task_id)

    # --- groups and chords ------------------------------------------------------------------------------------------

    def _save_group(self, group_id: str, result: Any) -> Any:  # noqa: ANN401 - Celery's GroupResult
        self._keeps.keep(
            layout.group_key(group_id), self.encoded({"result": result.as_tuple()}), ttl_s=self.header_life_s or None
        )
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        kept = self._keeps.kept(layout.group_key(group_id))
        if kept is None:
            return None
        meta: dict[str, Any] = self.decode(kept)
        meta["result"] = result_from_tuple(meta["result"], self.app)
        return meta

    def _delete_group(self, group_id: str) -> None:
        self._keeps.drop(layout.group_key(group_id))

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Say how many parts a chord will have."""
        if self._chords is not None:
            self._chords.begin(group_id, chord_size)

    def add_to_chord(self, group_id: str, result: object) -> None:
        """One more part, added by a running header task."""
        if self._chords is None:
            super().add_to_chord(group_id, result)
        else:
            self._chords.add(group_id)

    def apply_chord(self, header_result_args: tuple[Any, ...], body: Any, **kwargs: object) -> None:  # noqa: ANN401 - a signature
        """Prepare a chord: a header with groups in it is saved, so that the body gets values of its shape."""
        if self._chords is None:
            super().apply_chord(header_result_args, body, **kwargs)
        elif not isinstance(header_result_args[1], _regen):
            header = self.app.GroupResult(*header_result_args)
            if any(isinstance(one, GroupResult) for one in header.results):
                self._save_group(header.id, header)

    def on_chord_part_return(self, request: Any, state: str, result: object, **_: object) -> None:  # noqa: ANN401 - Celery's Context
        """Count a header task that has ended."""
        if self._chords is not None:
            self._chords.part_ended(request, state, result)

    @cached_property
    def _chords(self) -> Chords | None:
        index = self.store.index
        ordered = bool(self._transport.get("result_chord_ordered", True))
        return Chords(self, index, ordered=ordered) if isinstance(index, RunsScripts) else None

    @property
    def _keeps(self) -> Keeps:
        if not isinstance(self.store.index, Keeps):
            raise Misconfigured("this index cannot keep Celery's groups: use redis:// in the backend's URL")
        return self.store.index
