"""Legacy: the records of Celery's own Redis backend, read and written as well during a rolling upgrade."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import redis
from celery import states
from celery.backends.base import BaseKeyValueStoreBackend

from resultstore.backends.celery.record.conversion import failure_of
from resultstore.backends.celery.record.progress_meta import read_progress
from resultstore.index.index import Subscription
from resultstore.model.errors import IndexUnavailable
from resultstore.model.result import Result
from resultstore.store import Store

_IN_THE_RECORD = frozenset({"status", "result", "traceback", "date_done", "name", "worker", "retries", "task_id"})


class LegacyRecords:
    """`celery-task-meta-<id>`, with `global_keyprefix` before it: one key a task, published on a channel of its name.

    Args:
        backend: its serializer, expiry and Redis are used.
    """

    def __init__(self, backend: Any) -> None:  # noqa: ANN401 - Celery's backends have no types
        self._backend = backend

    def key(self, task_id: str) -> str:
        """Return the key of a task, which is the name of its channel too."""
        key: bytes = BaseKeyValueStoreBackend.get_key_for_task(self._backend, task_id)
        return key.decode()

    def fetch(self, task_ids: Sequence[str]) -> list[Result | None]:
        """Return what is stored of each id, in one round trip. Raises IndexUnavailable."""
        contents = self._run_pipeline(lambda pipe: [pipe.get(self.key(one)) for one in task_ids])
        return [one and self._result(task_id, one) for task_id, one in zip(task_ids, contents, strict=True)]

    def publish(self, task_id: str, meta: Mapping[str, Any], request: object, *, ttl_s: int) -> None:
        """Write and announce a record as Celery's own backend does. Raises IndexUnavailable.

        Args:
            task_id: the task's.
            meta: as `Backend._get_result_meta` makes it.
            request: Celery's Context; with `result_extended` the arguments are stored as it has them.
            ttl_s: how long the record lives; 0 without a limit.
        """
        done = meta["date_done"]
        whole = {**meta, "date_done": done and done.isoformat(), "task_id": task_id}
        if "args" in meta:
            whole.update(args=getattr(request, "args", None), kwargs=getattr(request, "kwargs", None))
        key, content = self.key(task_id), self._backend.encode(whole)
        self._run_pipeline(lambda pipe: (pipe.set(key, content, ex=ttl_s or None), pipe.publish(key, content)))

    def delete(self, task_id: str) -> None:
        """Delete it. Raises IndexUnavailable."""
        self._run_pipeline(lambda pipe: pipe.delete(self.key(task_id)))

    def open_subscription(self) -> Subscription:
        """Open a subscription that receives the announcements of both records of an id."""
        subscription: Subscription = self._backend.store.index.events.open_subscription(also=self.key)
        return subscription

    def _run_pipeline(self, fill: Callable[[Any], object]) -> list[Any]:
        try:
            with self._backend.store.index.client.pipeline(transaction=False) as pipe:
                fill(pipe)
                answers: list[Any] = pipe.execute()
        except redis.RedisError as error:
            raise IndexUnavailable(
                f"Celery's own results cannot be read or written ({error}): check that Redis runs"
            ) from error
        return answers

    def _result(self, task_id: str, content: bytes) -> Result:
        meta: dict[str, Any] = self._backend.decode(content)
        state, done = str(meta["status"]), meta.get("date_done")
        rest = {name: value for name, value in meta.items() if name not in _IN_THE_RECORD and value}
        return Result(
            id=task_id,
            state=state,
            value=self._backend.encoded(meta.get("result")),
            failure=failure_of(meta.get("result")) if state in states.EXCEPTION_STATES else None,
            progress=None if state in states.READY_STATES else read_progress(meta.get("result")),
            traceback=meta.get("traceback") or "",
            ended_at=_epoch_s(done) if state in states.READY_STATES else None,
            task=meta.get("name") or "",
            worker=meta.get("worker") or "",
            retries=meta.get("retries") or 0,
            extra=self._backend.encoded(rest) if rest else b"",
        )


class LegacyStore(Store):
    """A Store that also reads the records of Celery's own backend, for ids without an outcome in resultstore.

    Args:
        store: the Store whose parts it shares.
        legacy: reads the records of Celery's own backend.
    """

    def __init__(self, store: Store, legacy: LegacyRecords) -> None:
        super().__init__(index=store.index, blobs=store.blobs, signer=store.signer, settings=store.settings)
        self._legacy = legacy

    def load(self, result_id: str) -> Result | None:
        """Return the Result, from resultstore's record or seal, or from Celery's own key."""
        return self._with_legacy([result_id], [super().load(result_id)])[0]

    def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Do the same for many ids, in two round trips."""
        return self._with_legacy(result_ids, super().load_many(result_ids))

    def peek(self, result_id: str) -> Result | None:
        """Return state and progress; all of Celery's own record, which is one value."""
        return self._with_legacy([result_id], [super().peek(result_id)])[0]

    def peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Do the same for many ids, in two round trips."""
        return self._with_legacy(result_ids, super().peek_many(result_ids))

    def delete(self, result_id: str) -> None:
        """Delete both records."""
        super().delete(result_id)
        self._legacy.delete(result_id)

    def _with_legacy(self, result_ids: Sequence[str], found: list[Result | None]) -> list[Result | None]:
        open_ids = [one for one, own in zip(result_ids, found, strict=True) if own is None or not own.terminal]
        legacy = dict(zip(open_ids, self._legacy.fetch(open_ids), strict=True)) if open_ids else {}
        return [legacy.get(one) or own for one, own in zip(result_ids, found, strict=True)]


def _epoch_s(date_done: object) -> float | None:
    if not isinstance(date_done, str):
        return None
    done = datetime.fromisoformat(date_done)
    return (done if done.tzinfo else done.replace(tzinfo=UTC)).timestamp()
