"""Resolving: lists of references become lists of values, in their order, several at a time."""

import json
import threading
import time

import pytest

from resultstore import ArtifactMissing, Settings, Store
from resultstore.backends.celery.capture.resolver import Resolver
from resultstore.blobs.memory import MemoryBlobs
from resultstore.capture.spills import Spills
from resultstore.index.memory.driver import MemoryIndex

JSON = "application/json"


class SlowBlobs(MemoryBlobs):
    """Takes a while to answer, and knows how many asked at once."""

    def __init__(self) -> None:
        super().__init__()
        self.asking, self.most, self.gets = 0, 0, 0
        self.lock = threading.Lock()

    def get(self, key, **where):
        with self.lock:
            self.asking += 1
            self.gets += 1
            self.most = max(self.most, self.asking)
        time.sleep(0.03)
        with self.lock:
            self.asking -= 1
        return super().get(key, **where)


@pytest.fixture
def blobs() -> SlowBlobs:
    return SlowBlobs()


@pytest.fixture
def spills(blobs: SlowBlobs) -> Spills:
    return Spills(Store(index=MemoryIndex(), blobs=blobs, signer=None, settings=Settings(secret_key="k" * 32)))


def kept(spills: Spills, value: object):
    return spills.keep_argument(json.dumps(value).encode(), media_type=JSON)


def test_parts_are_fetched_in_parallel_in_order(spills: Spills, blobs: SlowBlobs):
    parts = [*(kept(spills, f"{n}") for n in range(9)), 9, [kept(spills, "10"), kept(spills, "11")]]

    assert Resolver(spills).resolve(parts, cached=False) == [*(f"{n}" for n in range(9)), 9, ["10", "11"]]
    assert 2 <= blobs.most <= 4 + 2


def test_large_parts_come_one_by_one(spills: Spills, blobs: SlowBlobs):
    large = "x" * (9 << 20)
    parts = (kept(spills, large), kept(spills, "small"), kept(spills, "other"))

    assert Resolver(spills).resolve(parts, cached=False) == (large, "small", "other")
    assert blobs.most == 1


def test_repeated_reference_is_fetched_once(spills: Spills, blobs: SlowBlobs):
    one = kept(spills, "again")

    assert Resolver(spills).resolve([one] * 20) == ["again"] * 20
    assert blobs.gets == 1


def test_a_part_that_is_gone_is_said(spills: Spills, blobs: SlowBlobs):
    parts = [kept(spills, n) for n in range(4)]
    blobs.delete([parts[2].key])

    with pytest.raises(ArtifactMissing, match=parts[2].id):
        Resolver(spills).resolve(parts, cached=False)
