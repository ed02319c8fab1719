"""Awaiting: one thread a process that hears for all coroutines which wait for results."""

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
_IDLE_S: Final = 5.0  # how long the thread outlives the last waiter, for the next one

Told = Callable[[str, TaskMeta | ResultStoreError], None]


class CoroutineNotifier:
    """Tells each waiter of its id once that is ready: subscribe, check, wait, and check again every 2 s.

    Args:
        backend: makes the line that hears, and reads what is ready: many ids in one round trip.
    """

    def __init__(self, backend: Any) -> None:  # noqa: ANN401 - Celery's backends have no types
        self._backend = backend
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Told]] = {}
        self._line: Subscription | None = None
        self._thread: threading.Thread | None = None
        self._away_since: float | None = None

    def enter(self, task_ids: Iterable[str], told: Told) -> None:
        """Call `told` from the thread, once for each id: with its meta when it is ready, or with why it cannot be."""
        asked = list(task_ids)
        for one in asked:
            self._backend.pending.check_id(one)  # one that cannot be looked up would fail the look-up of all
        with self._lock:
            for one in asked:
                self._waiting.setdefault(one, []).append(told)
            if self._line is None:
                self._line = self._backend.open_subscription()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="resultstore-awaiting", daemon=True)
                self._thread.start()
            self._line.listen(asked)

    def leave(self, task_ids: Iterable[str], told: Told) -> None:
        """Do not call `told` for these any more."""
        with self._lock:
            for one in task_ids:
                with contextlib.suppress(KeyError, ValueError):
                    self._waiting[one].remove(told)
                    self._drop_if_alone(one)

    def _drop_if_alone(self, task_id: str) -> None:
        if not self._waiting[task_id]:
            del self._waiting[task_id]
            if self._line is not None:
                self._line.leave(task_id)

    def _run(self) -> None:
        line, check_at, idle_since = self._line, time.monotonic() + RECHECK_S, math.inf
        while line is not None and not self._retired(idle_since):
            events = line.wait(max(0.0, min(check_at - time.monotonic(), _IDLE_S)))
            with self._lock:
                idle_since = math.inf if self._waiting else min(idle_since, time.monotonic())
                due = time.monotonic() >= check_at
                heard = {one.id for one in events if not one.state or one.state in _ENDED}
                asked = [one for one in self._waiting if due or one in heard]
            if due:
                check_at = time.monotonic() + RECHECK_S * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
            if asked:
                self._look(asked)

    def _retired(self, idle_since: float) -> bool:
        with self._lock:
            if self._waiting or time.monotonic() - idle_since < _IDLE_S or self._line is None:
                return False
            self._line.close()
            self._line = self._thread = None
            return True

    def _look(self, task_ids: list[str]) -> None:
        try:
            metas = self._backend.reading.metas(task_ids)
            metas += self._backend.reading.deletions({*task_ids} - {str(one["task_id"]) for one in metas})
        except Unavailable as error:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since > UNAVAILABLE_LIMIT_S:
                self._tell_all(task_ids, error)
            return
        except ResultStoreError as error:  # one that waiting does not mend
            self._tell_all(task_ids, error)
            return
        self._away_since = None
        for meta in metas:
            if meta["status"] in states.READY_STATES:
                self._tell(str(meta["task_id"]), meta)

    def _tell_all(self, task_ids: list[str], error: ResultStoreError) -> None:
        for one in task_ids:
            self._tell(one, error)

    def _tell(self, task_id: str, said: TaskMeta | ResultStoreError) -> None:
        with self._lock:
            waiters = self._waiting.pop(task_id, [])
            if self._line is not None:
                self._line.leave(task_id)
        for told in waiters:
            told(task_id, said)
