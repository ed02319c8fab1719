"""Unreadable records: a newer or damaged record does not hide the others, in any driver."""

import uuid

import msgspec
import pytest

from resultstore.index.index import Overwrite
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model import layout
from resultstore.model.errors import RecordUnreadable
from resultstore.model.result import Result, State

NEWER = bytes([0x93, layout.RECORD_FORMAT + 1, 127, 0])
SPOILED = {
    "newer": NEWER,
    "damaged": b"\x95\x01\x7f\x00\xc1\xc1",
    "cut": b"\x93\x01",
    "foreign": b"hello",
    "empty": b"",
}


def spoil(index, result_id: str, main: bytes) -> None:
    """Replace the record by bytes that this version cannot read."""
    if isinstance(index, MemoryIndex):
        entry = index._records.entries[result_id]
        index._records.entries[result_id] = msgspec.structs.replace(entry, main=main)
    else:
        index.client.set(index._names.record(result_id), main, ex=60)


@pytest.fixture(params=SPOILED)
def main(request) -> bytes:
    return SPOILED[request.param]


@pytest.fixture
def ids(index, main):
    """Three Results of one owner, of which the second cannot be read."""
    names = [uuid.uuid4().hex for _ in range(3)]
    for one in names:
        index.save(Result(id=one, owner=names[0], value=b"1"), ttl_s=60)
    spoil(index, names[1], main)
    return names


def test_an_unreadable_record_is_skipped_and_counted(index, ids):
    for ask in (index.listing.load_many, index.listing.peek_many):
        before = index.listing.unreadable_total
        found = ask(ids)

        assert [one and one.id for one in found] == [ids[0], None, ids[2]]
        assert index.listing.unreadable_total == before + 1


def test_a_single_unreadable_record_raises_with_its_id(index, ids):
    for ask in (index.load, index.peek):
        with pytest.raises(RecordUnreadable, match=ids[1]):
            ask(ids[1])


def test_an_unreadable_record_can_be_replaced(index, ids):
    sealed = Result(id=ids[1], owner=ids[0], state=State.SUCCESS, sealed=True)

    assert index.save(sealed, ttl_s=60, over=Overwrite.UNREADABLE)

    assert index.load(ids[1]) == sealed


def test_an_unreadable_record_can_be_deleted(index, ids, main):
    index.write_tombstone(ids[1], owner="", ttl_s=60)
    assert index.load(ids[1]).deleted

    spoil(index, ids[0], main)
    index.delete(ids[0])
    assert index.load(ids[0]) is None
