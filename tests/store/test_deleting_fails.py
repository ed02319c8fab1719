"""Deleting that fails after any of its steps: a look-up finds all or nothing, and the next call goes on."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from resultstore import Store
from resultstore.dispatch.orders import Order, announce
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable, IndexUnavailable
from tests.store.deletion_steps import OWNER, STEPS, Work, nothing_is_left


def failing_once(call: Callable, error: Exception) -> Callable:
    """`call`, which carries out its first call and loses the answer, so that the caller sees `error`."""
    left = [error]

    def fails(*args: object, **kwargs: object) -> object:
        if left:
            raise left.pop()
        return call(*args, **kwargs)

    return fails


PLACES = {
    "the tombstone of the seal": ("blobs", "replace", BlobStoreUnavailable("away")),
    "the tombstone of the record": ("index", "write_tombstone", IndexUnavailable("away")),
    "the order": ("index.keys", "drop", IndexUnavailable("away")),
    "the list of blobs": ("blobs", "list", BlobStoreUnavailable("away")),
    "the blobs": ("blobs", "delete", BlobStoreUnavailable("away")),
    "the owner's list": ("index.owners", "remove_deleted", IndexUnavailable("away")),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_deletion_that_fails_leaves_all_or_nothing(store: Store, monkeypatch, place: str):
    work = Work(store, "job")
    for name in STEPS:
        work.step(name)
    part, method, error = PLACES[place]
    target = attrgetter(part)(store)
    monkeypatch.setattr(target, method, failing_once(getattr(target, method), error))

    with pytest.raises(type(error)):
        store.delete("job")

    found = store.load("job")
    assert found is None or store.open(found.artifacts[0]).read() == b"content"
    store.delete("job")
    assert nothing_is_left(store, "job")


@pytest.mark.parametrize("place", ["the tombstone of the seal", "the tombstone of the record"])
def test_failed_deletion_can_be_repeated(store: Store, monkeypatch, place: str):
    order = Order(id="job", task="t", owner=OWNER)
    announce(store, order)
    kept = store.index.keys.read(layout.order_key("job"))
    part, method, error = PLACES[place]
    target = attrgetter(part)(store)
    monkeypatch.setattr(target, method, failing_once(getattr(target, method), error))

    with pytest.raises(type(error)):
        store.delete("job")

    assert store.index.keys.read(layout.order_key("job")) == kept
