"""Store: ids of any type mean their text."""

import uuid

import pytest

from resultstore import Settings, State, connect
from resultstore.model.errors import BadReference

ID = uuid.uuid4()


def test_store_takes_an_id_of_any_type():
    store = connect(Settings(index_url="memory://", blobs_url="memory://"))
    made = store.put(b"content", id=ID)
    assert made.id == str(ID)
    assert store.load(ID).state == store.peek(str(ID).encode()).state == State.SUCCESS
    assert [found.id for found in store.load_many([ID, str(ID)])] == [str(ID)] * 2
    store.delete(ID)
    assert store.load(str(ID)) is None


@pytest.mark.parametrize("bad", [None, "", "\ud800"])
def test_store_refuses_what_can_be_no_id(bad: object):
    store = connect(Settings(index_url="memory://", blobs_url="memory://"))
    with pytest.raises(BadReference):
        store.load(bad)
