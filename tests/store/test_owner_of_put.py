"""A program names the owner of what it stores; a task stores for its own owner only."""

import pytest

from resultstore import NotYours, Store
from resultstore.ops.owner_lists import erase
from resultstore.store.attempt import Attempt, running


def test_program_stores_for_an_owner(store: Store):
    artifact = store.put(b"4711", name="invoice.csv", owner="ann")

    assert store.load(artifact.id).owner == "ann"
    assert erase(store, "ann").results == 1
    assert store.load(artifact.id) is None


def test_writer_stores_for_an_owner(store: Store):
    with store.writer(name="invoice.csv", owner="ann") as file:
        file.write(b"4711")

    assert store.load(file.artifact.id).owner == "ann"


@pytest.mark.parametrize("result_id", [None, "bobs-invoice"])
@pytest.mark.parametrize("owner", ["bob", ""])
def test_task_cannot_store_for_others(store: Store, result_id, owner):
    with running(Attempt("anns-task", owner="ann")), pytest.raises(NotYours, match="anns-task"):
        store.put(b"4711", id=result_id, owner=owner)

    assert list(store.blobs.list("")) == []


def test_task_may_name_its_own_owner(store: Store):
    attempt = Attempt("anns-task", owner="ann")
    with running(attempt):
        store.put(b"1", name="inside", owner="ann")
        apart = store.put(b"2", id="apart", owner="ann")

    assert store.load(apart.id).owner == store.seal(attempt).owner == "ann"


def test_unowned_task_stores_for_any_owner(store: Store):
    with running(Attempt("nightly")):
        statement = store.put(b"4711", id="statement-ann", owner="ann")

    assert store.load(statement.id).owner == "ann"
