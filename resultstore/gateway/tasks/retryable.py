"""RetryFinder: finds the Results that can be retried."""

import time
from collections.abc import Iterable

from resultstore.dispatch.offers import Offers
from resultstore.dispatch.orders import Order, read_orders
from resultstore.model.result import Result
from resultstore.store import Store


class RetryFinder:
    """A Result can be retried while its order is stored, its task is offered and its input has not expired.

    Args:
        store: holds the Results.
        offers: the tasks that callers may start.
    """

    def __init__(self, store: Store, offers: Offers) -> None:
        self._store = store
        self._offers = offers

    def may_be_retryable(self, result: Result) -> bool:
        """Return False if the Result is known not to be retryable without a lookup."""
        return result.terminal and bool(result.owner) and result.task in self._offers

    def order(self, result: Result) -> Order | None:
        """Return the order of a Result, or None if it cannot be retried. Its input may have expired."""
        return self._orders([result]).get(result.id)

    def ids(self, results: Iterable[Result]) -> frozenset[str]:
        """Return the ids of those Results that have ended and can be retried."""
        now = time.time()
        found = self._orders([one for one in results if self.may_be_retryable(one)])
        return frozenset(one for one, order in found.items() if not _is_expired(order, now))

    def _orders(self, results: list[Result]) -> dict[str, Order]:
        candidates = [one for one in results if one.owner and one.task in self._offers]
        orders = zip(candidates, read_orders(self._store, [one.id for one in candidates]), strict=True)
        return {
            result.id: order
            for result, order in orders
            # An attacker who can write to Redis can store any order under any id.
            if order is not None and order.owner == result.owner and order.task in self._offers
        }


def _is_expired(order: Order, now: float) -> bool:
    source = order.source
    return source is not None and source.expires_at is not None and source.expires_at <= now
