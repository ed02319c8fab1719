"""ResultConsumer: wakes the threads that wait for a Celery result, by announcements that may be lost."""

import math
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, Final

from celery import states
from celery.backends.asynchronous import greenletDrainer

from resultstore.backends.celery.wait.pacing import PacedCallback
from resultstore.backends.celery.wait.pending_results import Meta
from resultstore.backends.celery.wait.per_process import PerProcess
from resultstore.backends.celery.wait.prompt import PromptConsumer
from resultstore.index.index import Subscription
from resultstore.model.errors import IndexUnavailable
from resultstore.model.event import Announcement
from resultstore.model.ids import id_of
from resultstore.model.seal import DELETED
from resultstore.store.attempt import current
from resultstore.store.waiting import RECHECK_S, UNAVAILABLE_LIMIT_S
from resultstore.telemetry.logs import Log

_log = Log(__name__)

_FIRST_CHECK_S: Final = 0.05  # a waiter that was not woken by then checks once itself
_SENT_CHECK_S: Final = 0.5  # the same if all ids are subscribed to already: little can be missed
_DRAIN_S: Final = 1.0
_ENDED: Final = states.READY_STATES | {DELETED}


class _ProcessState:
    """What one process has subscribed to; a fork starts with nothing."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.changed = threading.Condition()
        self.reading = False  # one thread reads the connection, the others wait for what it finds
        self.turns = 0
        self.subscribed: set[str] = set()
        self.unsubscribed: set[str] = set()  # waited for, not yet subscribed to
        self.delivering = False  # while True, ids to unsubscribe from are collected
        self.unwanted: set[str] = set()
        self.expected: set[str] = set()  # subscribed to before they were sent: nothing can be missed
        self.failures = 0  # received so far
        self.check_at = math.inf
        self.away_since: float | None = None


class ResultConsumer(PromptConsumer):
    """Subscribes, checks and waits; does all three again after the connection was lost.

    An announcement carries the record if it is small; otherwise the record is fetched, for ids that are waited for. An
    id that this process sends is subscribed to before it is sent, so it need not be checked. If an announcement is
    lost, a check finds the outcome: after 50 ms (0.5 s for ids that this process has sent), then every 2 s with jitter.

    The waiting thread reads the connection itself; of several threads, one reads and wakes the others.
    """

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - Celery's signature
        super().__init__(*args)
        self._process = PerProcess(lambda: _ProcessState(self.backend.open_subscription()))

    def start(self, initial_task_id: str, **_: object) -> None:
        """Subscribe to the first id."""
        here = self._process.get()
        here.subscribed.add(initial_task_id)
        here.subscription.listen([initial_task_id])

    @property
    def subscribed_to(self) -> set[bytes]:
        """Return the record keys of the ids that this process has subscribed to."""
        return {self._get_key_for_task(task_id) for task_id in list(self._process.get().subscribed)}

    def expect(self, task_id: str) -> None:
        """Subscribe to an id that is about to be sent."""
        here = self._process.get()
        here.subscribed.add(task_id)
        here.expected.add(task_id)
        here.unwanted.discard(task_id)
        here.subscription.listen([task_id])

    def consume_from(self, task_id: str) -> None:
        """Subscribe to an id, at the latest when a thread waits for it."""
        here = self._process.get()
        if task_id not in here.subscribed:
            here.unsubscribed.add(task_id)
            if isinstance(self.drainer, greenletDrainer):  # it reads all the time, even while no thread waits
                self._subscribe(here)

    def cancel_for(self, task_id: str) -> None:
        """Unsubscribe from an id. Never blocks: a result's `__del__` calls it."""
        here = self._process.peek()
        if here is None:
            return
        here.unsubscribed.discard(task_id)
        here.expected.discard(task_id)
        if task_id in here.subscribed:
            here.subscribed.discard(task_id)
            here.unwanted.add(task_id)
            if not here.delivering:
                self._unsubscribe(here)

    def on_wait_for_pending(self, result: Any, timeout: float | None = None, **_: object) -> None:  # noqa: ANN401, ARG002 - Celery's signature
        """Fetch what may be ready already, and subscribe to the rest."""
        here = self._process.get()
        unsure = [one for one in _unready_ids(result) if one not in here.subscribed]
        here.unsubscribed.update(unsure)
        self._fetch(here, unsure)
        self._subscribe(here)
        with here.changed:
            first_s = _FIRST_CHECK_S if unsure else _SENT_CHECK_S
            here.check_at = min(here.check_at, time.monotonic() + first_s)
        if unsure and here.subscribed.isdisjoint(unsure):
            self.poll_announced()  # no thread needs to wait, so none may read what has arrived for others

    def poll_announced(self) -> None:
        """Read what was announced by now, so that it does not pile up in a process that polls and never waits."""
        here = self._process.peek()
        if here is not None and here.subscribed and not here.reading:
            self.drain_events(timeout=0)

    def drain_events_until(
        self,
        p: Any,  # noqa: ANN401 - Celery's promise
        timeout: float | None = None,
        on_interval: Callable[[], object] | None = None,
    ) -> Iterator[object]:
        """Wait until `p` is ready. Raises socket.timeout."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        interval = _DRAIN_S if timeout is None else min(_DRAIN_S, max(0.0, timeout))
        here = self._process.get()
        paced = on_interval and PacedCallback(on_interval, lambda: here.failures)
        drained: Iterator[object] = self.drainer.drain_events_until(
            p, timeout=timeout, interval=interval, on_interval=paced, wait=partial(self._drain_before, end)
        )
        return drained

    def drain_events(self, timeout: float | None = None) -> None:
        """Read what is announced within `timeout`; or wait until another thread has done so."""
        here = self._process.get()
        timeout_s = _DRAIN_S if timeout is None else timeout
        with here.changed:
            if here.reading:
                turn = here.turns
                here.changed.wait_for(lambda: here.turns != turn, timeout_s)
                return
            here.reading = True
        try:
            self._read(here, timeout_s)
        finally:
            with here.changed:
                if not self.backend.pending:  # the next wait begins its own 50 ms
                    here.check_at = math.inf
                here.reading = False
                here.turns += 1
                here.changed.notify_all()

    def on_after_fork(self) -> None:
        """Close the subscription; the next waiter opens a new one."""
        here = self._process.pop()
        if here is not None:
            here.subscription.close()

    def stop(self) -> None:
        """Close the subscription, as after a fork."""
        self.on_after_fork()

    def _get_key_for_task(self, task_id: str) -> bytes:
        key: bytes = self.backend.get_key_for_task(task_id)
        return key

    def _drain_before(self, end: float, timeout: float | None = None) -> None:
        self.drain_events(min(_DRAIN_S if timeout is None else timeout, max(0.0, end - time.monotonic())))

    def _subscribe(self, here: _ProcessState) -> None:
        new = list(_emptied(here.unsubscribed))
        if new:
            here.subscribed.update(new)
            here.unwanted.difference_update(new)
            here.subscription.listen(new)

    def _read(self, here: _ProcessState, timeout_s: float) -> None:
        self._subscribe(here)
        events = here.subscription.wait(min(timeout_s, max(0.0, here.check_at - time.monotonic())))
        here.delivering = True
        try:
            self._receive(here, events)
        finally:
            here.delivering = False
            self._unsubscribe(here)

    def _receive(self, here: _ProcessState, events: Iterable[Announcement]) -> None:
        for event in events:
            # A group's values are read one after the other, and those that a task waits for elsewhere, with its owner.
            if event.early is not None and self.backend.pending.is_only(event.id) and current() is None:
                self.backend.prefetcher.begin(event.early)
        wanted = [event for event in events if self._is_worth_fetching(here, event)]
        worth = {event.id for event in wanted}
        for meta in self.backend.result_decoder.read_announcements(wanted):
            self._notify(meta)
            worth.discard(meta["task_id"])
        gone = {event.id for event in wanted if event.state == DELETED}
        if time.monotonic() >= here.check_at:
            worth.update(awaited := set(self.backend.pending))
            gone |= awaited
            here.check_at = _later() if worth else math.inf
        self._fetch(here, worth, maybe_deleted=gone)

    def _unsubscribe(self, here: _ProcessState) -> None:
        gone = list(_emptied(here.unwanted))
        if gone:
            here.subscription.leave(*gone)

    def _is_worth_fetching(self, here: _ProcessState, event: Announcement) -> bool:
        here.failures += event.state in states.PROPAGATE_STATES
        if event.early is not None:
            return False
        waited = event.id in self.backend.pending
        if not event.state:  # subscribed from now on
            if event.id not in here.expected:
                return waited
            here.expected.discard(event.id)
            return False
        if event.state in states.READY_STATES and not waited:
            self.cancel_for(event.id)  # a later waiter checks first
        return waited and (event.state in _ENDED or self.on_message is not None)

    def _fetch(self, here: _ProcessState, task_ids: Iterable[str], *, maybe_deleted: Collection[str] = ()) -> None:
        """Look these up and notify their waiters; while the index is unavailable, the next check tries again."""
        asked = list(task_ids)
        if not asked:
            return
        try:
            metas = self.backend.result_decoder.fetch_metas(asked)
            metas += self.backend.result_decoder.fetch_deletions({*maybe_deleted} - {meta["task_id"] for meta in metas})
        except IndexUnavailable:
            here.check_at = min(here.check_at, _later())
            if self._is_away_too_long(here):
                raise
            return
        here.away_since = None
        for meta in metas:
            here.failures += meta["status"] in states.PROPAGATE_STATES
            self._notify(meta)

    def _notify(self, meta: Meta) -> None:
        ready = meta["status"] in states.READY_STATES
        if ready or self.on_message:
            self.on_state_change(meta, None)
        if ready:
            self.cancel_for(meta["task_id"])

    def _is_away_too_long(self, here: _ProcessState) -> bool:
        here.away_since = here.away_since or time.monotonic()
        if time.monotonic() - here.away_since < UNAVAILABLE_LIMIT_S:
            return False
        here.away_since = None
        if isinstance(self.drainer, greenletDrainer):  # an error would end it for all greenlets
            _log.warning("index_unavailable", after_s=UNAVAILABLE_LIMIT_S)
            return False
        return True


def _unready_ids(result: Any) -> Iterator[str]:  # noqa: ANN401 - Celery's AsyncResult or ResultSet
    if hasattr(result, "results"):
        for one in result.results:
            yield from _unready_ids(one)
    elif not result._cache:  # noqa: SLF001 - what `result.ready()` would ask the backend for
        yield id_of(result.id)


def _emptied(ids: set[str]) -> Iterator[str]:
    while ids:
        try:
            yield ids.pop()
        except KeyError:  # another thread took the last one
            return


def _later() -> float:
    return time.monotonic() + RECHECK_S * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, no secret
