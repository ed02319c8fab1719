"""CeleryDispatcher: sends orders to the workers of a Celery app."""

from typing import Final

from celery import Celery
from kombu.exceptions import KombuError, OperationalError

from resultstore.backends.celery.codec import kombu_types
from resultstore.backends.celery.setup import store_of
from resultstore.dispatch.orders import Order, announce, withdraw
from resultstore.index.index import Overwrite
from resultstore.model.errors import BrokerUnavailable
from resultstore.model.headers import OWNER_HEADER
from resultstore.model.result import State

# A browser waits for the answer: three tries in about a second, then it gets an error and may retry.
_RETRY: Final = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 0.5}
_PROBE_LIMIT_S: Final = 2
_STARTED: Final = frozenset({State.RECEIVED, State.STARTED, State.PROGRESS, State.RETRY})


class CeleryDispatcher:
    """Sends tasks to the broker of `app`, each under the id of its Result.

    Args:
        app: its result backend is resultstore. No other code may use it: it is set to publisher confirms (otherwise
            RabbitMQ drops what it refuses without an error), and does not subscribe to the results of its tasks.
    """

    def __init__(self, app: Celery) -> None:
        kombu_types.register()
        self._app = app
        self._store = store_of(app)
        app.backend.announcer.subscribes = False
        if str(app.conf.broker_url).startswith(("amqp", "pyamqp")):
            app.conf.broker_transport_options = {**app.conf.broker_transport_options, "confirm_publish": True}
        # Errors of the broker are those of its transport (a nack is none of kombu's).
        connection = app.connection_for_write()
        self._faults = (KombuError, OperationalError, *connection.connection_errors, *connection.channel_errors)

    def send(self, order: Order) -> None:
        """Announce and publish `order`; on an error withdraw it. Raises BrokerUnavailable, IndexUnavailable."""
        before = self._store.index.load(order.id)
        announce(self._store, order)
        try:
            self._app.send_task(
                order.task,
                args=[] if order.source is None else [order.source],
                kwargs=dict(order.arguments),
                task_id=order.id,
                headers={OWNER_HEADER: order.owner},
                retry_policy=_RETRY,
            )
        except self._faults as error:
            withdraw(self._store, order, before=before)
            raise _away(order.id, error) from error

    def cancel(self, result_id: str) -> None:
        """Revoke the task: at once if no worker has started it, otherwise when its process has been ended.

        Raises BrokerUnavailable.
        """
        found = self._store.load(result_id)
        if found is None or found.terminal:
            return
        if found.state not in _STARTED:
            # If a worker starts it at this moment, the same revocation ends it, and the worker writes this state.
            self._store.save(found.moved(State.REVOKED), over=Overwrite.IF_UNFINISHED)
        try:
            self._app.control.revoke(result_id, terminate=True)
        except self._faults as error:
            raise _away(result_id, error) from error

    def probe(self) -> None:
        """Connect to the broker once, with a new connection. Raises BrokerUnavailable."""
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=_PROBE_LIMIT_S)
        except self._faults as error:
            raise BrokerUnavailable(f"the broker does not answer ({type(error).__name__})") from error


def _away(result_id: str, error: Exception) -> BrokerUnavailable:
    return BrokerUnavailable(
        f"the broker did not take {result_id} ({type(error).__name__}): try again, or run `resultstore doctor`"
    )
