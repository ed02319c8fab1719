"""Promises of Index about tombstones: no save replaces one."""

from typing import Final

from resultstore.index.index import Index, Overwrite
from resultstore.model.result import Result, State
from resultstore.model.seal import DELETED
from resultstore.testing.promises import new_id, wait_until

ALL_STATES: Final = (*State, "PACKING", DELETED)


def writes_tombstones_over_every_record(index: Index) -> None:
    """write_tombstone: replaces every record, and all reads return a deleted Result."""
    for before in (None, *ALL_STATES):
        one = Result(id=new_id())
        if before is not None:
            index.save(one.moved(before, value=b"v" * 5000, owner="ann"), ttl_s=60)

        index.write_tombstone(one.id, owner="ann", ttl_s=60)

        many = (*index.listing.load_many([one.id]), *index.listing.peek_many([one.id]))
        for found in (index.peek(one.id), index.load(one.id), *many):
            assert found is not None
            assert (found.deleted, found.owner, found.value, found.terminal) == (True, "ann", None, True), before


def saves_nothing_over_a_tombstone(index: Index) -> None:
    """save, save_if_absent and delete: never replace a tombstone."""
    for over in Overwrite:
        for later in ALL_STATES:
            one = Result(id=new_id())
            index.write_tombstone(one.id, owner="", ttl_s=60)

            assert not index.save(one.moved(later, value=b"v" * 5000), ttl_s=60, over=over), f"{over} {later}"
            index.unconfirmed.save_if_absent(one.moved(later), ttl_s=60)
            index.delete(one.id)

            found = index.load(one.id)
            assert found is not None
            assert found.deleted, f"{over} {later}"
            assert one.id not in list(index.listing.ids(limit=1_000_000))


def writes_a_tombstone_twice(index: Index) -> None:
    """write_tombstone: a second call replaces the first."""
    name = new_id()
    for owner in ("ann", ""):
        index.write_tombstone(name, owner=owner, ttl_s=60)
        found = index.load(name)
        assert found is not None
        assert (found.deleted, found.owner) == (True, owner)


def expires_tombstones(index: Index) -> None:
    """write_tombstone: the tombstone expires after `ttl_s`; then the id is free."""
    one = Result(id=new_id())
    index.write_tombstone(one.id, owner="", ttl_s=1)
    wait_until(lambda: index.load(one.id) is None)
    assert index.save(one, ttl_s=60)


def omits_deleted_results_of_an_owner(index: Index) -> None:
    """ids: an owner's list omits deleted Results."""
    owner = new_id()
    names = [new_id() for _ in range(3)]
    for one in names:
        index.save(Result(id=one, owner=owner), ttl_s=60)

    index.write_tombstone(names[1], owner=owner, ttl_s=60)

    assert set(index.listing.ids(owner=owner)) == {names[0], names[2]}


def takes_no_custom_state_for_a_tombstone(index: Index) -> None:
    """A custom state that is called like a deletion is no tombstone."""
    one = Result(id=new_id())
    index.save(one.moved(DELETED, value=b"theirs"), ttl_s=60)
    found = index.load(one.id)
    assert found is not None
    assert not found.deleted
    assert index.save(one.moved(State.SUCCESS), ttl_s=60)
