"""Attending: a worker's timer that sends the bodies of chords whose finisher did not come back."""

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from resultstore.telemetry.logs import Log

_log = Log(__name__)


class ChordTimer:
    """Looks at the start of a worker and then twice a lease, in the worker's main process.

    Its timer runs in the loop that feeds the pool, so there is no thread that a fork could catch with a lock in hand.
    For as long as this object lives: Celery's signals hold it weakly.

    Args:
        app: whose workers look.
        look: what they do.
        lease_s: how long a finisher is left alone.
    """

    def __init__(self, app: Celery, look: Callable[[], object], *, lease_s: float) -> None:
        self._app = app
        self._look = look
        self._period_s = lease_s / 2
        self._entry: Any = None
        worker_ready.connect(self._ready, weak=True)
        worker_shutting_down.connect(self._ended, weak=True)

    def _ready(self, sender: Any = None, **_: object) -> None:  # noqa: ANN401 - Celery's Consumer
        if getattr(sender, "app", None) is not self._app or sender.timer is None:
            return
        self._ended()  # a worker is ready again after each loss of its broker
        self._entry = sender.timer.call_repeatedly(self._period_s, self._attend)
        self._attend()

    def _ended(self, **_: object) -> None:
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None

    def _attend(self) -> None:
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is: the worker goes on, and the next look is soon
            _log.warning("chords_not_attended", error=repr(error))
