"""Noticing: finds out that work has ended for which a webhook waits."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from resultstore.index.index import Subscription
from resultstore.model.errors import Damaged, Refused, ResultStoreError
from resultstore.model.result import Result
from resultstore.model.seal import DELETED
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.telemetry.tolerance import FailureTolerance
from resultstore.webhooks.outbox import WebhookOutbox

LOOK_S: Final = 10.0  # how long an end that was not announced, or to another gateway, stays unnoticed at most
_WAIT_S: Final = 1.0
_PAGE: Final = 500
# Work that nobody knows: it was never dispatched, or its record has expired. An upload may be open for a day.
_UNKNOWN_S: Final = 25 * 3600

_log = Log(__name__)


class EndNotifier:
    """A thread that hears the ids and, every 10 s, looks at all that wait.

    Args:
        store: whose Results.
        outbox: which hooks wait.
        ended: called after hooks have become due.
    """

    def __init__(self, store: Store, outbox: WebhookOutbox, *, ended: Callable[[], None]) -> None:
        self._store = store
        self._outbox = outbox
        self._ended = ended
        self._line: Subscription | None = store.index.events.open_subscription()
        self._heard: set[str] = set()
        self._look_at = 0.0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="resultstore-webhooks-noticing", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, within a second."""
        self._stopped.set()

    def hear(self, result_id: str) -> None:
        """Listen to an id at once, rather than after the next look. For any thread."""
        if self._line is not None and result_id not in self._heard:
            self._heard.add(result_id)
            self._line.listen([result_id])

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
                if time.monotonic() >= self._look_at:
                    self._look_at = time.monotonic() + LOOK_S
                    self._look()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look is soon
                _log.warning("webhooks_not_looked_at", error=repr(error))
                self._stopped.wait(_WAIT_S)
        if self._line is not None:
            self._line.close()

    def _listen(self) -> None:
        if self._line is None:
            self._stopped.wait(_WAIT_S)
            return
        changed = {event.id: event.state for event in self._line.wait(_WAIT_S)}
        for one in [one for one, state in changed.items() if state == DELETED]:
            self._drop(one)
            del changed[one]
        if changed:
            self._check([(one, 0) for one in changed])

    def _look(self) -> None:
        start = 0
        while page := self._outbox.waiting(start=start, count=_PAGE):
            for one, _ in page:
                self.hear(one)
            start += len(page) - self._check(page)

    def _check(self, waiting: Sequence[tuple[str, int]]) -> int:
        """How many of these do not wait any more: their work has ended, or nobody knows it."""
        tolerance = FailureTolerance(_log, "webhook_not_looked_at")
        results = self._loaded([one for one, _ in waiting])
        gone = 0
        for one, waited_s in waiting:
            with tolerance.each(id=one):
                gone += self._settled(one, waited_s, results)
        if gone:
            self._ended()
        return gone

    def _loaded(self, result_ids: Sequence[str]) -> Mapping[str, Result | None]:
        """The Results, where all of them can be read together."""
        try:
            return dict(zip(result_ids, self._store.load_many(result_ids), strict=True))
        except ResultStoreError as error:
            _log.warning("webhooks_not_looked_at", count=len(result_ids), error=str(error))
            return {}

    def _settled(self, result_id: str, waited_s: int, results: Mapping[str, Result | None]) -> bool:
        """Whether this one waits no more."""
        is_late = waited_s > _UNKNOWN_S
        result = results[result_id] if result_id in results else self._read(result_id)
        if result is not None and result.terminal:
            self._outbox.ended(result_id)
            self._forget(result_id)
        elif is_late and result is None and self._read(result_id) is None:  # together, what cannot be read is left out
            self._drop(result_id)
        else:
            return False
        return True

    def _read(self, result_id: str) -> Result | None:
        try:
            return self._store.load(result_id)
        except (Damaged, Refused) as error:  # nobody will ever read it
            _log.warning("webhook_not_looked_at", id=result_id, error=str(error))
            return None

    def _drop(self, result_id: str) -> None:
        self._outbox.done(result_id)
        self._forget(result_id)

    def _forget(self, result_id: str) -> None:
        self._heard.discard(result_id)
        if self._line is not None:
            self._line.leave(result_id)
