"""Contract of Index, tombstones: no save replaces one, in any driver."""

import time
import uuid

import pytest

from resultstore.index.index import Overwrite
from resultstore.model.event import Event
from resultstore.model.result import Result, State
from resultstore.model.seal import DELETED

ALL_STATES = [*State, "PACKING", DELETED]


@pytest.mark.parametrize("before", [None, *ALL_STATES])
def test_a_tombstone_replaces_every_record(index, one, before):
    if before is not None:
        index.save(one.moved(before, value=b"v" * 5000, owner="ann"), ttl_s=60)

    index.write_tombstone(one.id, owner="ann", ttl_s=60)

    for found in (
        index.peek(one.id),
        index.load(one.id),
        *index.listing.load_many([one.id]),
        *index.listing.peek_many([one.id]),
    ):
        assert (found.deleted, found.owner, found.value, found.terminal) == (True, "ann", None, True)


@pytest.mark.parametrize("over", Overwrite)
@pytest.mark.parametrize("later", ALL_STATES)
def test_no_save_replaces_a_tombstone(index, one, over, later):
    index.write_tombstone(one.id, owner="", ttl_s=60)

    assert not index.save(one.moved(later, value=b"v" * 5000), ttl_s=60, over=over)
    index.unconfirmed.save_if_absent(one.moved(later), ttl_s=60)
    index.delete(one.id)

    assert index.load(one.id).deleted
    assert one.id not in list(index.listing.ids(limit=1_000_000))


def test_a_tombstone_can_be_written_twice(index, one):
    for owner in ("ann", ""):
        index.write_tombstone(one.id, owner=owner, ttl_s=60)
        assert (index.load(one.id).deleted, index.load(one.id).owner) == (True, owner)


def test_watchers_are_notified_of_the_deletion(index, one):
    index.save(one, ttl_s=60)
    with index.events.watch(one.id) as watch:
        index.write_tombstone(one.id, owner="", ttl_s=60)
        end = time.monotonic() + 20
        while (event := watch.wait(1)) is None:
            assert time.monotonic() < end
    assert event == Event(one.id, DELETED)


def test_a_tombstone_expires(index, one):
    index.write_tombstone(one.id, owner="", ttl_s=1)
    end = time.monotonic() + 20
    while index.load(one.id) is not None:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert index.save(one, ttl_s=60)


def test_an_owners_list_omits_deleted_results(index):
    owner = uuid.uuid4().hex
    ids = [uuid.uuid4().hex for _ in range(3)]
    for one in ids:
        index.save(Result(id=one, owner=owner), ttl_s=60)

    index.write_tombstone(ids[1], owner=owner, ttl_s=60)

    assert set(index.listing.ids(owner=owner)) == {ids[0], ids[2]}


def test_a_custom_state_is_no_tombstone(index, one):
    index.save(one.moved(DELETED, value=b"theirs"), ttl_s=60)
    assert not index.load(one.id).deleted
    assert index.save(one.moved(State.SUCCESS), ttl_s=60)
