"""Foreign entries in lists: the others are still returned."""

import uuid

import pytest

from resultstore.index.index import ScriptRunner
from resultstore.index.leases import Leases
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model import layout
from resultstore.model.result import Result


@pytest.fixture
def redis_index(index):
    """Drivers whose lists other programs can write to."""
    if isinstance(index, MemoryIndex):
        pytest.skip("a process's own memory has no other writer")
    return index


@pytest.mark.parametrize("entry", [b"\xff\xfe", b"", b"}x", b"../x"])
def test_foreign_entry_hides_no_listed_result(redis_index, entry):
    owner, mine = uuid.uuid4().hex, uuid.uuid4().hex
    redis_index.save(Result(id=mine, owner=owner, value=b"1"), ttl_s=60)
    key = redis_index._names.own(layout.owner_key(owner))
    redis_index.client.zadd(key, {entry: 1e12})

    found = list(redis_index.listing.ids(owner=owner))

    assert found == [mine]
    assert redis_index.client.zrange(key, 0, -1) == [mine.encode()]


@pytest.mark.parametrize(("member", "weight"), [(b"\xff\xfe", b"1"), (b"bad", b"much"), (b"bad", b"nan")])
def test_foreign_member_hides_no_other(redis_index, member, weight):
    assert isinstance(redis_index.keys, ScriptRunner)
    key = layout.quota_key(uuid.uuid4().hex, "tickets")
    leases = Leases(redis_index)
    leases.take(key, "mine", ttl_s=60, most=5, weight=1)
    written = redis_index._names.own(key)
    redis_index.client.zadd(written, {member: 9e15})
    redis_index.client.hset(written + ":weights", member, weight)

    assert leases.members(key) == {"mine": 1}
