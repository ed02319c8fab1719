"""ChordTimer: lets a worker send the bodies of chords whose finisher was lost."""

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from resultstore.backends.celery.signals import Signals
from resultstore.telemetry.logs import Log

_log = Log(__name__)


class ChordTimer:
    """Looks for such chords when a worker starts, and then twice a lease, in the worker's main process.

    The timer runs in the loop that feeds the pool. A thread could hold a lock at the moment of a fork.

    Args:
        app: the app whose workers look.
        publish_due: sends what is due.
        lease_s: the time within which a finisher must send the body.
    """

    def __init__(self, app: Celery, publish_due: Callable[[], object], *, lease_s: float) -> None:
        self._app = app
        self._publish_due = publish_due
        self._period_s = lease_s / 2
        self._entry: Any = None

    def connect(self, signals: Signals) -> None:
        """Start and stop with each worker of the app."""
        signals.connect(worker_ready, self._start)
        signals.connect(worker_shutting_down, self._stop)

    def _start(self, sender: Any = None, **_: object) -> None:  # noqa: ANN401 - Celery's Consumer
        if getattr(sender, "app", None) is not self._app or sender.timer is None:
            return
        self._stop()  # a worker is ready again after each loss of its broker
        self._entry = sender.timer.call_repeatedly(self._period_s, self._publish)
        self._publish()

    def _stop(self, **_: object) -> None:
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None

    def _publish(self) -> None:
        try:
            self._publish_due()
        except Exception as error:  # noqa: BLE001 - the worker goes on whatever it is, and the timer tries again soon
            _log.warning("chords_not_finished", error=repr(error))
