"""Pending records: they replace nothing, and a deleted id is refused."""

import pytest

from resultstore import Result, Settings, State, Store, connect
from resultstore.dispatch.pending import save_pending
from resultstore.model.errors import ResultDeleted


@pytest.fixture
def store() -> Store:
    return connect(Settings(index_url="memory://", blobs_url="memory://"))


def test_pending_record_replaces_no_other(store: Store):
    save_pending(store, Result(id="7f3a", owner="ann"))
    store.save(store.load("7f3a").moved(State.STARTED))

    save_pending(store, Result(id="7f3a", owner="bob"))

    assert (store.load("7f3a").state, store.load("7f3a").owner) == (State.STARTED, "ann")


def test_deleted_id_is_refused(store: Store):
    store.save(Result(id="7f3a"))
    store.delete("7f3a")

    with pytest.raises(ResultDeleted, match="7f3a"):
        save_pending(store, Result(id="7f3a"))
