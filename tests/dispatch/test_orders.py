"""Orders: kept for a retry, announced by a PENDING record, and refused if another program wrote them."""

import pytest

from resultstore import BadReference, Settings, State, Store, connect
from resultstore.dispatch.orders import Order, announce, read_order, read_orders, withdraw
from resultstore.model import layout
from resultstore.model.errors import ResultDeleted

ORDER = Order(id="7f3a", task="resize", owner="ann", arguments={"widths": [200]})


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://", secret_key="k" * 32))


def test_announced_order_is_pending_and_read_again(store: Store):
    announce(store, ORDER)

    assert read_order(store, "7f3a") == ORDER
    result = store.load("7f3a")
    assert (result.state, result.task, result.owner) == (State.PENDING, "resize", "ann")


def test_withdrawn_new_order_leaves_nothing(store: Store):
    announce(store, ORDER)

    withdraw(store, ORDER, before=None)

    assert read_order(store, "7f3a") is None
    assert store.load("7f3a") is None


def test_withdrawn_order_restores_the_earlier_record(store: Store):
    announce(store, ORDER)
    before = store.load("7f3a").moved(State.RETRY)

    withdraw(store, ORDER, before=before)

    assert store.load("7f3a").state == State.RETRY


def test_order_of_deleted_result_is_refused(store: Store):
    announce(store, ORDER)
    store.delete("7f3a")

    with pytest.raises(ResultDeleted, match="7f3a"):
        announce(store, ORDER)

    assert read_order(store, "7f3a") is None


def test_forged_order_is_refused_and_skipped_in_lists(store: Store):
    announce(store, ORDER)
    announce(store, Order(id="9c1e", task="resize", owner="ann"))
    key = layout.order_key("7f3a")
    store.index.keys.keep(key, store.index.keys.read(key).replace(b"ann", b"bob"), ttl_s=60)

    with pytest.raises(BadReference, match="order of 7f3a"):
        read_order(store, "7f3a")
    first, second, unknown = read_orders(store, ["7f3a", "9c1e", "0000"])
    assert (first, second.id, unknown) == (None, "9c1e", None)
    assert read_orders(store, []) == []


def test_order_copied_to_another_id_is_refused(store: Store):
    announce(store, ORDER)
    kept = store.index.keys.read(layout.order_key("7f3a"))
    store.index.keys.keep(layout.order_key("9c1e"), kept, ttl_s=60)

    with pytest.raises(BadReference, match="order of 9c1e"):
        read_order(store, "9c1e")
