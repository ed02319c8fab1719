"""RetryFinder: finds the Results that can be retried."""

import time
from collections.abc import Iterable, Mapping
from typing import Final

from resultstore.dispatch.offers import Offers
from resultstore.dispatch.orders import Order, read_orders
from resultstore.model import layout
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.uploads.ticket import uploaded_file_of

_LISTED_MAX: Final = 10_000  # as many as the lists of an owner show
_READ_AT_ONCE: Final = 500


class RetryFinder:
    """A Result can be retried while its order is stored, its task is offered and its input is stored.

    Args:
        store: holds the Results.
        offers: the tasks that callers may start.
    """

    def __init__(self, store: Store, offers: Offers) -> None:
        self._store = store
        self._offers = offers

    def needs_order(self, result: Result) -> bool:
        """Return True if the view of a Result depends on its order: whether it can be retried, and its input's name.

        A retry has the input of another Result, which only its order names.
        """
        offer = self._offers.get(result.task) if result.owner else None
        if offer is None:
            return False
        return result.terminal or (bool(offer.takes) and uploaded_file_of(result) is None)

    def order(self, result: Result) -> Order | None:
        """Return the order of a Result, or None if it cannot be retried. Its input may be gone."""
        return self._read([result]).get(result.id)

    def orders(self, results: Iterable[Result]) -> dict[str, Order]:
        """Return the orders of those Results that need one, by id, with one look-up."""
        return self._read([one for one in results if self.needs_order(one)])

    def _read(self, results: Iterable[Result]) -> dict[str, Order]:
        candidates = [one for one in results if one.owner and one.task in self._offers]
        orders = zip(candidates, read_orders(self._store, [one.id for one in candidates]), strict=True)
        return {
            result.id: order
            for result, order in orders
            # An attacker who can write to Redis can store any order under any id.
            if order is not None and order.owner == result.owner and order.task in self._offers
        }

    def retryable_ids(self, results: Iterable[Result], orders: Mapping[str, Order]) -> frozenset[str]:
        """Return the ids of those Results that have ended and can be retried; `orders` as `orders()` returned them."""
        now = time.time()
        ended = [orders[one.id] for one in results if one.terminal and one.id in orders]
        fresh = [one for one in ended if not _is_expired(one, now)]
        gone = self._deleted_sources(fresh)
        return frozenset(one.id for one in fresh if one.source is None or one.source.id not in gone)

    def is_input_stored(self, order: Order) -> bool:
        """Return False if the input of `order` was deleted with the Result that it belongs to."""
        return not self._deleted_sources([order])

    def mark_restarted(self, order: Order) -> None:
        """Record that `order` is about to use the input of another Result, for as long as the order is stored."""
        if order.source is not None:
            key = layout.restarted_key(order.source.id)
            self._store.index.keys.keep(key, b"1", ttl_s=self._store.settings.results.expires_s)

    def uses_of_input(self, result: Result) -> list[str]:
        """Return the ids of the other Results of its owner that were restarted with the upload of `result`.

        Only for a Result that was marked are the orders of the newer ones read.
        """
        if not result.owner or self._store.index.keys.read(layout.restarted_key(result.id)) is None:
            return []
        listed = self._store.owner_lister.newest(result.owner, limit=_LISTED_MAX)
        ids = [one.id for one in listed if one.id != result.id]
        users: list[str] = []
        for start in range(0, len(ids), _READ_AT_ONCE):
            some = ids[start : start + _READ_AT_ONCE]
            orders = zip(some, read_orders(self._store, some), strict=True)
            users += [one for one, order in orders if order and order.source and order.source.id == result.id]
        found = self._store.load_many(users) if users else []
        return [one for one, stored in zip(users, found, strict=True) if stored is not None]

    def _deleted_sources(self, orders: Iterable[Order]) -> frozenset[str]:
        """Return the ids of other Results whose upload is the input of an order, and which are not stored any more."""
        shared = sorted({one.source.id for one in orders if one.source is not None and one.source.id != one.id})
        found = self._store.load_many(shared) if shared else []
        return frozenset(one for one, result in zip(shared, found, strict=True) if result is None)


def _is_expired(order: Order, now: float) -> bool:
    source = order.source
    return source is not None and source.expires_at is not None and source.expires_at <= now
