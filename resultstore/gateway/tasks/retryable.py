"""Repeats: finds out which Results can be made again."""

import time
from collections.abc import Iterable

from resultstore.dispatch.offers import Offers
from resultstore.dispatch.orders import Order, read_orders
from resultstore.model.result import Result
from resultstore.store import Store


class RetryFinder:
    """A Result can be made again while its order is kept, its task is offered and its input may be read.

    Args:
        store: whose Results.
        offers: what may be started.
    """

    def __init__(self, store: Store, offers: Offers) -> None:
        self._store = store
        self._offers = offers

    def may_repeat(self, result: Result) -> bool:
        """Return False for what needs no look-up to say that it cannot be made again."""
        return result.terminal and bool(result.owner) and result.task in self._offers

    def order(self, result: Result) -> Order | None:
        """Return the order of one Result; None when it cannot be made again. Its input may have expired."""
        return self._orders([result]).get(result.id)

    def ids(self, results: Iterable[Result]) -> frozenset[str]:
        """Return the ids of the Results that have ended and can be made again."""
        now = time.time()
        found = self._orders([one for one in results if self.may_repeat(one)])
        return frozenset(one for one, order in found.items() if not _is_expired(order, now))

    def _orders(self, results: list[Result]) -> dict[str, Order]:
        asked = [one for one in results if one.owner and one.task in self._offers]
        orders = zip(asked, read_orders(self._store, [one.id for one in asked]), strict=True)
        return {
            result.id: order
            for result, order in orders
            # Whoever can write to Redis can keep any order under any id.
            if order is not None and order.owner == result.owner and order.task in self._offers
        }


def _is_expired(order: Order, now: float) -> bool:
    source = order.source
    return source is not None and source.expires_at is not None and source.expires_at <= now
