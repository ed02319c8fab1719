"""ChangeListener: one thread a process that reads what changed and passes it to all watching coroutines."""

import contextlib
import os
import random
import threading
import time
import weakref
from collections.abc import Iterable
from typing import Final, Protocol

from resultstore.index.index import Subscription
from resultstore.model.errors import ResultDeleted, ResultStoreError, Unavailable
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.store.waiting import RECHECK_S, UNAVAILABLE_LIMIT_S

_IDLE_S: Final = 5.0  # how long the thread waits for the next watcher before it ends
_AT_ONCE: Final = 500  # records of one round trip

Outcome = Result | ResultStoreError


class StateReceiver(Protocol):
    """Receives the states of one id."""

    def deliver(self, outcome: Outcome) -> None:
        """Take the current state, or the error that ends the watching. Called by the listener's thread."""


class ChangeListener:
    """Reads each changed record once for all its watchers, and all of them every 2 s: announcements may be lost.

    Args:
        store: opens the subscription and reads the records.
    """

    def __init__(self, store: Store) -> None:
        self._store = weakref.proxy(store)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._subscription: Subscription | None = None
        self._begin()

    def add(self, result_id: str, watcher: StateReceiver) -> None:
        """Deliver the state of this id at each change. The caller reads the state before the first change itself."""
        with self._lock:
            if self._process_id != os.getpid():  # after a fork: thread and connection are the parent's
                self._begin()
            self._watchers.setdefault(result_id, []).append(watcher)
            if self._subscription is None:
                self._subscription = self._store.index.events.open_subscription()
            self._subscription.listen([result_id])
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="resultstore-changes", daemon=True)
                self._thread.start()

    def remove(self, result_id: str, watcher: StateReceiver) -> None:
        """Deliver nothing more to this watcher."""
        with self._lock:
            watchers = self._watchers.get(result_id, [])
            with contextlib.suppress(ValueError):
                watchers.remove(watcher)
            if not watchers and self._watchers.pop(result_id, None) is not None and self._subscription is not None:
                self._subscription.leave(result_id)

    @property
    def threads(self) -> int:
        """How many threads it has now: 0 or 1."""
        return int(self._thread is not None)

    def _begin(self) -> None:
        self._process_id = os.getpid()
        self._watchers: dict[str, list[StateReceiver]] = {}
        self._subscription = self._thread = None
        self._away_since: float | None = None

    def _run(self) -> None:
        subscription, idle_since = self._subscription, time.monotonic()
        check_at = idle_since + RECHECK_S
        while subscription is not None and not self._close_if_idle(idle_since):
            events = subscription.wait(max(0.0, check_at - time.monotonic()))
            now = time.monotonic()
            with self._lock:
                due = now >= check_at
                received = {one.id for one in events}
                asked = [one for one in self._watchers if due or one in received]
                idle_since = now if self._watchers else idle_since
            if due:
                check_at = now + RECHECK_S * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
            for start in range(0, len(asked), _AT_ONCE):
                self._read(asked[start : start + _AT_ONCE])

    def _close_if_idle(self, idle_since: float) -> bool:
        with self._lock:
            if self._watchers or time.monotonic() - idle_since < _IDLE_S or self._subscription is None:
                return False
            self._subscription.close()
            self._subscription = self._thread = None
            return True

    def _read(self, result_ids: list[str]) -> None:
        try:
            found = dict(zip(result_ids, self._store.peek_many(result_ids), strict=True))
            missing = [one for one, result in found.items() if result is None]
            deleted = self._store.deleted_many(missing) if missing else []
        except Unavailable as error:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since > UNAVAILABLE_LIMIT_S:
                self._deliver_all(result_ids, error)
            return
        except ResultStoreError as error:  # one that waiting does not repair
            self._deliver_all(result_ids, error)
            return
        self._away_since = None
        for one, result in found.items():
            if result is not None:
                self._deliver_all([one], result)
        for one in deleted:
            self._deliver_all([one], ResultDeleted.of(one))

    def _deliver_all(self, result_ids: Iterable[str], outcome: Outcome) -> None:
        with self._lock:
            watchers = [watcher for one in result_ids for watcher in self._watchers.get(one, ())]
        for watcher in watchers:
            watcher.deliver(outcome)


_listeners: "weakref.WeakKeyDictionary[Store, ChangeListener]" = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def listener_of(store: Store) -> ChangeListener:
    """Return the one listener of a Store."""
    with _lock:
        found = _listeners.get(store)
        if found is None:
            found = _listeners[store] = ChangeListener(store)
        return found
