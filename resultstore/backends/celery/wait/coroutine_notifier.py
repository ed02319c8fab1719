"""CoroutineNotifier: one thread a process that waits for the results of all coroutines."""

import contextlib
import math
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from celery import states

from resultstore.backends.celery.record.meta import TaskMeta
from resultstore.index.index import Subscription
from resultstore.model.errors import ResultStoreError, Unavailable
from resultstore.model.seal import DELETED
from resultstore.store.waiting import RECHECK_S, UNAVAILABLE_LIMIT_S

_ENDED: Final = states.READY_STATES | {DELETED}
_IDLE_S: Final = 5.0  # how long the thread waits for the next waiter before it ends

Callback = Callable[[str, TaskMeta | ResultStoreError], None]


class CoroutineNotifier:
    """Calls each waiter once its id is ready: subscribes, checks, waits, and checks again every 2 s.

    Args:
        backend: opens the subscription, and reads what is ready: many ids in one round trip.
    """

    def __init__(self, backend: Any) -> None:  # noqa: ANN401 - Celery's backends have no types
        self._backend = backend
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Callback]] = {}
        self._subscription: Subscription | None = None
        self._thread: threading.Thread | None = None
        self._away_since: float | None = None

    def add(self, task_ids: Iterable[str], callback: Callback) -> None:
        """Call `callback` from the thread, once for each id: with its meta when it is ready, or with the error."""
        asked = list(task_ids)
        for one in asked:
            self._backend.pending.check_id(one)  # one that cannot be looked up would fail the look-up of all
        with self._lock:
            for one in asked:
                self._waiting.setdefault(one, []).append(callback)
            if self._subscription is None:
                self._subscription = self._backend.open_subscription()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="resultstore-awaiting", daemon=True)
                self._thread.start()
            self._subscription.listen(asked)

    def remove(self, task_ids: Iterable[str], callback: Callback) -> None:
        """Do not call `callback` for these ids any more."""
        with self._lock:
            for one in task_ids:
                with contextlib.suppress(KeyError, ValueError):
                    self._waiting[one].remove(callback)
                    self._drop_if_unused(one)

    def _drop_if_unused(self, task_id: str) -> None:
        if not self._waiting[task_id]:
            del self._waiting[task_id]
            if self._subscription is not None:
                self._subscription.leave(task_id)

    def _run(self) -> None:
        subscription, check_at, idle_since = self._subscription, time.monotonic() + RECHECK_S, math.inf
        while subscription is not None and not self._close_if_idle(idle_since):
            events = subscription.wait(max(0.0, min(check_at - time.monotonic(), _IDLE_S)))
            with self._lock:
                idle_since = math.inf if self._waiting else min(idle_since, time.monotonic())
                due = time.monotonic() >= check_at
                received = {one.id for one in events if not one.state or one.state in _ENDED}
                asked = [one for one in self._waiting if due or one in received]
            if due:
                check_at = time.monotonic() + RECHECK_S * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
            if asked:
                self._check(asked)

    def _close_if_idle(self, idle_since: float) -> bool:
        with self._lock:
            if self._waiting or time.monotonic() - idle_since < _IDLE_S or self._subscription is None:
                return False
            self._subscription.close()
            self._subscription = self._thread = None
            return True

    def _check(self, task_ids: list[str]) -> None:
        try:
            metas = self._backend.result_decoder.fetch_metas(task_ids)
            metas += self._backend.result_decoder.fetch_deletions({*task_ids} - {str(one["task_id"]) for one in metas})
        except Unavailable as error:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since > UNAVAILABLE_LIMIT_S:
                self._notify_all(task_ids, error)
            return
        except ResultStoreError as error:  # one that waiting does not repair
            self._notify_all(task_ids, error)
            return
        self._away_since = None
        for meta in metas:
            if meta["status"] in states.READY_STATES:
                self._notify(str(meta["task_id"]), meta)

    def _notify_all(self, task_ids: list[str], error: ResultStoreError) -> None:
        for one in task_ids:
            self._notify(one, error)

    def _notify(self, task_id: str, outcome: TaskMeta | ResultStoreError) -> None:
        with self._lock:
            waiters = self._waiting.pop(task_id, [])
            if self._subscription is not None:
                self._subscription.leave(task_id)
        for callback in waiters:
            callback(task_id, outcome)
