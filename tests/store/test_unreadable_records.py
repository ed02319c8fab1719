"""Unreadable records: what is sealed is read from its seal, and its record is written again."""

import msgspec
import pytest

from resultstore import RecordUnreadable, Settings, State, Store, connect
from resultstore.index.index import Overwrite
from resultstore.model.result import Failure, Result
from tests.contract.test_index_unreadable import SPOILED, spoil


@pytest.fixture(params=SPOILED)
def main(request) -> bytes:
    return SPOILED[request.param]


@pytest.mark.parametrize("look_up", ["load", "peek", "load_many", "peek_many", "wait"])
def test_a_sealed_result_is_read_from_its_seal(store: Store, main: bytes, look_up: str):
    artifact = store.put(b"content", id="job")
    spoil(store.index, "job", main)

    ask = getattr(store, look_up)
    found = ask(["job"])[0] if look_up.endswith("many") else ask("job")

    assert (found.state, found.sealed) == (State.SUCCESS, True)
    assert store.index.load("job").artifacts == (artifact,), "its record is healed"


def test_what_was_evicted_beside_a_record_is_healed(store: Store):
    artifact = store.put(b"content", id="job")
    store.index._records.entries["job"] = msgspec.structs.replace(store.index._records.entries["job"], beside=None)
    store.index.load = without_its_part_beside(store.index)

    assert store.load("job").artifacts == (artifact,)
    assert store.index._records.entries["job"].beside is not None


def without_its_part_beside(index):
    """As in Redis: a record whose part beside was evicted is no record."""
    plain = index.load
    return lambda one: None if index._records.entries[one].beside is None else plain(one)


def test_unreadable_record_fails_alone_not_in_lists(store: Store, main: bytes):
    for name in ("one", "two"):
        store.save(Result(id=name, state=State.FAILURE, failure=Failure("E", "no")))
    spoil(store.index, "one", main)

    with pytest.raises(RecordUnreadable, match="one"):
        store.load("one")
    assert [one and one.id for one in store.load_many(["one", "two"])] == [None, "two"]
    assert [one and one.id for one in store.known_many(["one", "two"])] == [None, "two"]


@pytest.mark.parametrize("state", [State.SUCCESS, State.FAILURE])
def test_an_outcome_is_written_over_an_unreadable_record(store: Store, main: bytes, state: State):
    store.save(Result(id="job", state=State.STARTED))
    spoil(store.index, "job", main)

    assert store.save(Result(id="job", state=state, value=b"1"))

    assert store.load("job").state == state


def test_readable_success_is_never_replaced():
    store = connect(Settings(index_url="memory://", blobs_url="memory://", secret_key="k" * 32))
    store.save(Result(id="job", state=State.SUCCESS, value=b"first"))

    assert not store.save(Result(id="job", state=State.SUCCESS, value=b"second"))
    assert not store.save(Result(id="job", state=State.FAILURE), over=Overwrite.IF_UNFINISHED)
    assert store.load("job").value == b"first"


def test_an_unreadable_result_can_be_deleted(store: Store, main: bytes):
    store.save(Result(id="job", state=State.STARTED))
    spoil(store.index, "job", main)

    store.delete("job")

    assert store.load("job") is None
    assert store.was_deleted("job")
