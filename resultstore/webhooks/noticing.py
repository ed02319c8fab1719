"""EndNotifier: detects the end of work for which a webhook is waiting."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from resultstore.model.errors import Damaged, Refused, ResultStoreError
from resultstore.model.result import Result
from resultstore.model.seal import DELETED
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.telemetry.tolerance import FailureTolerance
from resultstore.webhooks.outbox import WebhookOutbox

CHECK_S: Final = 10.0  # the maximum delay of an end that was not announced, or only to another gateway
_WAIT_S: Final = 1.0
_PAGE: Final = 500
# Work without a record was never dispatched, or its record has expired. An upload may be open for a day.
_UNKNOWN_S: Final = 25 * 3600

_log = Log(__name__)


class EndNotifier:
    """A thread that subscribes to the ids and, every 10 s, checks all waiting hooks.

    Args:
        store: of the Results.
        outbox: of the waiting hooks.
        ended: called after hooks have become due.
    """

    def __init__(self, store: Store, outbox: WebhookOutbox, *, ended: Callable[[], None]) -> None:
        self._store = store
        self._outbox = outbox
        self._ended = ended
        self._subscription = store.index.events.open_subscription()
        self._subscribed: set[str] = set()
        self._check_at = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resultstore-webhooks-noticing", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end within a second."""
        self._stopped.set()

    def subscribe(self, result_id: str) -> None:
        """Subscribe to an id now, before the next check. May be called from any thread."""
        if result_id not in self._subscribed:
            self._subscribed.add(result_id)
            self._subscription.listen([result_id])

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
                if time.monotonic() >= self._check_at:
                    self._check_at = time.monotonic() + CHECK_S
                    self._check_all()
            except Exception as error:  # noqa: BLE001 - the next check comes soon
                _log.warning("webhooks_not_checked", error=repr(error))
                self._stopped.wait(_WAIT_S)
        self._subscription.close()

    def _listen(self) -> None:
        changed = {event.id: event.state for event in self._subscription.wait(_WAIT_S)}
        for one in [one for one, state in changed.items() if state == DELETED]:
            self._drop(one)
            del changed[one]
        if changed:
            self._check([(one, 0) for one in changed])

    def _check_all(self) -> None:
        start = 0
        while page := self._outbox.read_waiting(start=start, count=_PAGE):
            for one, _ in page:
                self.subscribe(one)
            start += len(page) - self._check(page)

    def _check(self, waiting: Sequence[tuple[str, int]]) -> int:
        """Make ended hooks due, remove unknown ones, and return the number of both."""
        tolerance = FailureTolerance(_log, "webhook_not_checked")
        results = self._load_many([one for one, _ in waiting])
        gone = 0
        for one, waited_s in waiting:
            with tolerance.each(id=one):
                gone += self._settle(one, waited_s, results)
        if gone:
            self._ended()
        return gone

    def _load_many(self, result_ids: Sequence[str]) -> Mapping[str, Result | None]:
        """Return the Results by id; nothing if they cannot be read together."""
        try:
            return dict(zip(result_ids, self._store.load_many(result_ids), strict=True))
        except ResultStoreError as error:
            _log.warning("webhooks_not_checked", count=len(result_ids), error=str(error))
            return {}

    def _settle(self, result_id: str, waited_s: int, results: Mapping[str, Result | None]) -> bool:
        """Make the hook due or remove it. Return False if it still waits."""
        is_late = waited_s > _UNKNOWN_S
        result = results[result_id] if result_id in results else self._read(result_id)
        if result is not None and result.terminal:
            self._outbox.mark_due(result_id)
            self._unsubscribe(result_id)
        elif is_late and result is None and self._read(result_id) is None:  # `load_many` leaves unreadable records out
            self._drop(result_id)
        else:
            return False
        return True

    def _read(self, result_id: str) -> Result | None:
        try:
            return self._store.load(result_id)
        except (Damaged, Refused) as error:  # it stays unreadable
            _log.warning("webhook_not_checked", id=result_id, error=str(error))
            return None

    def _drop(self, result_id: str) -> None:
        self._outbox.remove(result_id)
        self._unsubscribe(result_id)

    def _unsubscribe(self, result_id: str) -> None:
        self._subscribed.discard(result_id)
        self._subscription.leave(result_id)
