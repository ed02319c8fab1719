"""Batched lookups: each request is answered as if it were alone."""

import asyncio

import pytest

from resultstore.blobs.memory import MemoryBlobs
from resultstore.gateway.identity.caller import SCOPES, Caller
from resultstore.gateway.results.batching import LookupBatcher
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model.errors import IndexUnavailable, ResultMissing
from resultstore.model.result import Result, State
from resultstore.settings import Settings
from resultstore.store import Store

ANN = Caller("ann", SCOPES - {"admin"})
pytestmark = pytest.mark.anyio


class Counted(MemoryIndex):
    """Counts round trips; a batch with the id `poison` fails."""

    def __init__(self):
        super().__init__()
        self.together, self.alone, self.away = [], [], False
        self.listing.load_many = self._load_many

    def _load_many(self, result_ids):
        self.together.append(list(result_ids))
        if self.away:
            raise IndexUnavailable("away")
        if "poison" in result_ids:
            raise ValueError("cannot be encoded")
        return [super(Counted, self).load(one) for one in result_ids]

    def load(self, result_id):
        self.alone.append(result_id)
        if self.away:
            raise IndexUnavailable("away")
        if result_id == "poison":
            raise ValueError("cannot be encoded")
        return super().load(result_id)


@pytest.fixture
def index():
    return Counted()


@pytest.fixture
def lookups(index):
    store = Store(index=index, blobs=None, signer=None, settings=Settings(index_url="memory://"))
    for number in range(50):
        store.save(Result(id=f"a{number}", owner="ann", state=State.SUCCESS))
    store.save(Result(id="bobs", owner="bob", state=State.SUCCESS))
    return LookupBatcher(store)


async def asked(lookups, *ids):
    return await asyncio.gather(*(lookups.load_visible(ANN, one) for one in ids), return_exceptions=True)


async def test_concurrent_lookups_share_a_round_trip(lookups, index):
    ids = [f"a{number}" for number in range(50)]

    found = await asked(lookups, *ids)

    assert [one.id for one in found] == ids
    assert len(index.together) <= 2
    assert index.alone == []


async def test_foreign_and_unknown_ids_affect_no_other_lookup(lookups):
    mine, foreign, unknown, long = await asked(lookups, "a1", "bobs", "none", "x" * 5_000)

    assert mine.id == "a1"
    assert all(isinstance(one, ResultMissing) for one in (foreign, unknown, long))
    assert str(foreign).replace("bobs", "none") == str(unknown)


async def test_failing_id_fails_only_its_own_request(lookups):
    mine, spoilt, other = await asked(lookups, "a1", "poison", "a2")

    assert (mine.id, other.id) == ("a1", "a2")
    assert isinstance(spoilt, ValueError)
    assert [one.id for one in await asked(lookups, "a3")] == ["a3"]


async def test_index_outage_fails_each_lookup_until_recovery(lookups, index):
    index.away = True
    assert all(isinstance(one, IndexUnavailable) for one in await asked(lookups, "a1", "a2"))

    index.away = False
    assert [one.id for one in await asked(lookups, "a1", "a2")] == ["a1", "a2"]


async def test_disconnected_client_does_not_cancel_the_batch(lookups):
    leaving = asyncio.ensure_future(lookups.load_visible(ANN, "a1"))
    staying = asyncio.ensure_future(lookups.load_visible(ANN, "a2"))
    await asyncio.sleep(0)
    leaving.cancel()

    assert (await staying).id == "a2"
    assert (await lookups.load_visible(ANN, "a1")).id == "a1"


class Asked(MemoryBlobs):
    """Counts the requests to the object store."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def get(self, key, **span):
        self.count += 1
        return super().get(key, **span)


async def test_foreign_id_costs_the_same_lookups_as_unknown(index):
    blobs = Asked()
    store = Store(index=index, blobs=blobs, signer=None, settings=Settings(index_url="memory://"))
    store.save(Result(id="bobs", owner="bob", state=State.SUCCESS))
    lookups, asked_of = LookupBatcher(store), {}
    for one in ("bobs", "nobodys"):
        for turn in ("first", "again"):
            before = len(index.together), len(index.alone), blobs.count
            with pytest.raises(ResultMissing):
                await lookups.load_visible(ANN, one)
            asked_of[one, turn] = (
                len(index.together) - before[0],
                len(index.alone) - before[1],
                blobs.count - before[2],
            )

    assert asked_of["bobs", "first"] == asked_of["nobodys", "first"] == (1, 1, 1)
    assert asked_of["bobs", "again"] == asked_of["nobodys", "again"] == (1, 1, 0)
