"""ResultStoreBackend: Celery's result backend over a Store."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from celery import Celery, states
from celery.backends.base import BaseBackend
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import result_from_tuple

from resultstore.backends.celery import artifacts
from resultstore.capturing import sealed_record
from resultstore.connect import connect
from resultstore.index.index import Over
from resultstore.model.result import Failure, Result
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.store.attempt import Attempt

# What the record itself holds of Celery's meta; the rest (children, result_extended ...) lies beside it.
_IN_THE_RECORD = frozenset({"status", "result", "traceback", "date_done", "worker", "retries"})

Meta = dict[str, Any]  # Celery's own word and shape for what a backend stores of a task


class ResultStoreBackend(BaseBackend):
    """State in the index, large values and Artifacts in the object store.

    Args:
        app: the Celery app.
        url: the index's URL, `redis://host:6379/0`; `?blobs=s3://bucket/prefix` overrides RESULTSTORE_BLOBS_URL.
    """

    def __init__(self, app: Celery, url: str | None = None, **kwargs: object) -> None:
        super().__init__(app=app, url=url, **kwargs)
        self.thread_safe = True
        artifacts.register()
        self.store: Store = connect(_settings(url))
        self._ttl_s = None if self.expires is None else int(self.expires)

    def __reduce__(self, args: tuple[object, ...] = (), kwargs: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - as Celery declares it
        return super().__reduce__(args, {**(kwargs or {}), "url": self.url})

    def encoded(self, value: object) -> bytes:
        """A plain value in the app's result serializer."""
        payload = self.encode(self.prepare_value(value))
        return payload if isinstance(payload, bytes) else payload.encode()

    def decoded(self, payload: bytes | None) -> object:
        """What `encoded` was given; None for nothing."""
        return None if payload is None else self.decode(payload)

    def on_task_call(self, producer: object, task_id: str) -> None:  # noqa: ARG002 - Celery's signature
        """Write the PENDING record at dispatch, so that polls of known work never ask the object store."""
        self.store.save(Result(id=task_id, created_at=_now()), over=Over.NOTHING, ttl_s=self._ttl_s)

    def get_state(self, task_id: str) -> str:
        """The state alone: no value is read, whatever its size."""
        found = self.store.peek(task_id)
        return states.PENDING if found is None else found.state

    def task_result_exists(self, task_id: str) -> bool:
        """Whether anything is known of the id."""
        return self.store.peek(task_id) is not None

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,  # noqa: FBT001, FBT002, ARG002 - Celery's signature
        on_interval: Callable[[], object] | None = None,
    ) -> Meta:
        """Block until the task is ready, woken by its announcement. Raises celery.exceptions.TimeoutError."""
        self._ensure_not_eager()
        end = None if timeout is None else _now() + timeout
        while True:
            left_s = None if end is None else max(0.0, end - _now())
            slice_s = left_s if on_interval is None else min(interval, interval if left_s is None else left_s)
            try:
                self.store.wait(task_id, timeout_s=slice_s)
            except TimeoutError as error:
                if on_interval is None or (end is not None and _now() >= end):
                    raise CeleryTimeoutError(str(error)) from error
                on_interval()
            else:
                return dict(self.get_task_meta(task_id))

    def _store_result(
        self,
        task_id: str,
        result: object,
        state: str,
        traceback: str | None = None,
        request: Any = None,  # noqa: ANN401 - Celery's Context
        **_: object,
    ) -> object:
        meta = self._get_result_meta(result, state, traceback, request, format_date=False, encode=False)
        sealed: Result | None = getattr(request, "resultstore_sealed", None)  # by capture, inside the task call
        record = sealed or self._plain(task_id, result, state=state, request=request)
        beside = {key: value for key, value in meta.items() if key not in _IN_THE_RECORD and value}
        self.store.save(
            record.moved(
                state,
                task=getattr(request, "task", None) or record.task,
                worker=getattr(request, "hostname", None) or record.worker,
                retries=getattr(request, "retries", None) or 0,
                traceback=meta.get("traceback") or "",
                ended_at=_now() if state in states.READY_STATES else None,
                extra=self.encoded(beside) if beside else b"",
            ),
            ttl_s=self._ttl_s,
        )
        return result

    def _plain(self, task_id: str, result: object, *, state: str, request: object) -> Result:
        value = self.encoded(result)
        limit_bytes = self.store.settings.inline_max_bytes
        if state == states.SUCCESS and len(value) > limit_bytes and self.store.blobs is not None:
            attempt = Attempt(task_id, task=getattr(request, "task", None) or "")
            return sealed_record(self.store, attempt, value=value)
        return Result(id=task_id, value=value, failure=_failure(result) if state in states.EXCEPTION_STATES else None)

    def _get_task_meta_for(self, task_id: str) -> Meta:
        found = self.store.load(task_id)
        if found is None:
            return {"status": states.PENDING, "result": None}
        meta: Meta = {
            "task_id": task_id,
            "status": found.state,
            "result": self.decoded(self.store.value(found)),
            "traceback": found.traceback or None,
            "children": [],
            "date_done": _iso(found.ended_at),
        }
        if found.extra:
            meta.update(self.decode(found.extra))
        return dict(self.meta_from_decoded(meta))

    def _forget(self, task_id: str) -> None:
        self.store.delete(task_id)

    def _save_group(self, group_id: str, result: Any) -> Any:  # noqa: ANN401 - Celery's GroupResult
        value = self.encoded({"result": result.as_tuple()})
        self.store.save(Result(id=_group(group_id), state=states.SUCCESS, value=value), ttl_s=self._ttl_s)
        return result

    def _restore_group(self, group_id: str) -> Meta | None:
        found = self.store.load(_group(group_id))
        if found is None:
            return None
        meta: Meta = self.decode(found.value)
        meta["result"] = result_from_tuple(meta["result"], self.app)
        return meta

    def _delete_group(self, group_id: str) -> None:
        self.store.delete(_group(group_id))


def _settings(url: str | None) -> Settings:
    """The RESULTSTORE_* settings, with the index and `?blobs=` that the backend's URL names."""
    if not url or "://" not in url:
        return Settings()
    parts = urlsplit(url.removeprefix("resultstore+"))
    query = dict(parse_qsl(parts.query))
    blobs_url = query.pop("blobs", None)
    index_url = urlunsplit(parts._replace(query=urlencode(query)))
    return Settings(index_url=index_url) if blobs_url is None else Settings(index_url=index_url, blobs_url=blobs_url)


def _failure(result: object) -> Failure | None:
    """What people read of Celery's encoded exception."""
    if not isinstance(result, dict):
        return None
    message = result.get("exc_message", "")
    told = ", ".join(str(part) for part in message) if isinstance(message, list | tuple) else str(message)
    return Failure(str(result.get("exc_type", "")), told, str(result.get("exc_module", "")))


def _group(group_id: str) -> str:
    return f"group-{group_id}"


def _now() -> float:
    return time.time()


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, tz=UTC).isoformat()
