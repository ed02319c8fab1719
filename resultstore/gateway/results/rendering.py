"""ResultRenderer: renders Results with the links and the possible actions of this gateway."""

from collections.abc import Mapping, Sequence

from anyio import to_thread

from resultstore.dispatch.orders import Order
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.tasks.retryable import RetryFinder
from resultstore.gateway.views import ResultView, result_view
from resultstore.model.errors import ResultStoreError
from resultstore.model.result import Result
from resultstore.telemetry.logs import Log

_log = Log(__name__)


class ResultRenderer:
    """Renders views. Every method except `json_async` may block on the index, to read the orders of Results.

    Args:
        retry_finder: finds the Results that can be retried.
        prefix: the gateway's path prefix.
    """

    def __init__(self, retry_finder: RetryFinder, prefix: PathPrefix) -> None:
        self._retry_finder = retry_finder
        self._prefix = prefix

    def one(self, result: Result, *, retry_of: str | None = None) -> ResultView:
        """Return the view of a Result; `retry_of` is set in the response to a retry."""
        orders, retryable = self._look_up([result])
        return self._view(result, orders.get(result.id), retryable=result.id in retryable, retry_of=retry_of)

    def many(self, results: Sequence[Result]) -> list[ResultView]:
        """Return the views of several Results with one lookup; skip a Result that cannot be rendered."""
        (orders, retryable), views = self._look_up(results), []
        for one in results:
            try:
                views.append(self._view(one, orders.get(one.id), retryable=one.id in retryable))
            except Exception as error:  # noqa: BLE001 - one bad Result must not hide the others
                _log.warning("result_not_shown", id=one.id, error=repr(error))
        return views

    def json(self, result: Result) -> bytes:
        """Return the view as JSON."""
        return self.one(result).model_dump_json().encode()

    async def json_async(self, result: Result) -> bytes:
        """Return the view as JSON; use a thread only if the index must be asked."""
        if self._retry_finder.needs_order(result):
            return await to_thread.run_sync(self.json, result)
        return result_view(result, prefix=self._prefix.path).model_dump_json().encode()

    def _look_up(self, results: Sequence[Result]) -> tuple[Mapping[str, Order], frozenset[str]]:
        """Return the orders of Results by id, and the ids of those that can be retried."""
        try:
            orders = self._retry_finder.orders(results)
            return orders, self._retry_finder.retryable_ids(results, orders)
        except ResultStoreError as error:  # a retry would fail now, so it is not offered
            _log.warning("orders_not_read", error=str(error))
            return {}, frozenset()

    def _view(self, result: Result, order: Order | None, *, retryable: bool, retry_of: str | None = None) -> ResultView:
        retried = (order.retry_of if order is not None else "") or retry_of
        source = order.source if order is not None else None
        return result_view(result, retry_of=retried, prefix=self._prefix.path, retryable=retryable, source=source)
