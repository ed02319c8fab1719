"""Spilled values: stored once, read whole, and only by tasks of their owner."""

import pickle
import random
import time

import msgspec
import pytest

from resultstore import (
    ArtifactExpired,
    ArtifactMissing,
    BadReference,
    ChecksumMismatch,
    Misconfigured,
    NotYours,
    Settings,
    Store,
)
from resultstore.blobs.memory import MemoryBlobs
from resultstore.capture.spills import PURPOSE, Spills
from resultstore.index.memory.driver import MemoryIndex
from resultstore.model.layout import DAY_S
from resultstore.model.mac import Macs
from resultstore.model.spill import Spill
from resultstore.store.attempt import Attempt
from resultstore.store.policy import OutputPolicy

SECRET = "k" * 32
JSON = "application/json"
VALUE = b'"' + b"v" * 100_000 + b'"'


class CountingBlobs(MemoryBlobs):
    """Counts its requests."""

    def __init__(self) -> None:
        super().__init__()
        self.gets = 0

    def get(self, key, **where):
        self.gets += 1
        return super().get(key, **where)


def store_over(blobs: MemoryBlobs | None, *, secret: str = SECRET) -> Store:
    return Store(index=MemoryIndex(), blobs=blobs, signer=None, settings=Settings(secret_key=secret))


@pytest.fixture
def blobs() -> CountingBlobs:
    return CountingBlobs()


@pytest.fixture
def spills(blobs: CountingBlobs) -> Spills:
    return Spills(store_over(blobs))


def changed(spill: Spill, **fields: object) -> Spill:
    return msgspec.structs.replace(spill, **fields)


def signed(spill: Spill, secret: str = SECRET) -> Spill:
    return changed(spill, mac=Macs(secret.encode()).sign(PURPOSE, *spill.signed))


def test_value_comes_back_as_it_was_written(spills: Spills, blobs: CountingBlobs):
    spill = spills.keep_argument(VALUE, media_type=JSON)

    assert spills.payload(spill) == VALUE
    assert spill.stored_bytes == blobs.stat(spill.key).size_bytes < spill.size_bytes == len(VALUE)
    assert len(msgspec.json.encode(spill)) < 500


def test_value_may_be_stored_raw(spills: Spills, blobs: CountingBlobs):
    spill = spills.keep_argument(VALUE, media_type=JSON, compress=False)

    assert b"".join(blobs.get(spill.key)) == spills.payload(spill) == VALUE


def test_same_argument_is_uploaded_once(spills: Spills, blobs: CountingBlobs):
    first = spills.keep_argument(VALUE, media_type=JSON)

    assert spills.keep_argument(bytes(bytearray(VALUE)), media_type=JSON) == first
    assert spills.keep_argument(VALUE, media_type=JSON, owner="alice").owner == "alice"
    assert len(list(blobs.list(""))) == 2


def test_argument_that_is_sent_on_is_not_uploaded(blobs: CountingBlobs):
    spill = Spills(store_over(blobs)).keep_argument(VALUE, media_type=JSON)
    another_process = Spills(store_over(blobs))

    assert another_process.keep_argument(another_process.payload(spill), media_type=JSON) == spill
    assert len(list(blobs.list(""))) == 1


def test_reference_is_fetched_once(spills: Spills, blobs: CountingBlobs):
    spill = spills.keep_argument(VALUE, media_type=JSON)

    for _ in range(3):
        spills.payload(spill)

    assert blobs.gets == 1


def test_cache_of_fetched_values_is_bounded(spills: Spills):
    for number in range(40):
        spills.payload(spills.keep_argument(b"%d" % number * (1 << 20), media_type=JSON))

    assert sum(len(one) for one in spills._fetched.values()) <= 32 << 20


@pytest.mark.parametrize(
    "forged",
    [
        {"id": "other"},
        {"key": "blobs/30d/00/other/" + "0" * 32 + ".0"},
        {"size_bytes": 1},
        {"sha256": "0" * 64},
        {"owner": "mallory"},
        {"expires_at": None},
        {"media_type": "application/x-python-serialize"},
        {"mac": ""},
        {"mac": "0" * 32},
    ],
)
def test_changed_reference_is_refused(spills: Spills, forged: dict[str, object]):
    spill = changed(spills.keep_argument(VALUE, media_type=JSON), **forged)

    with pytest.raises(BadReference, match="RESULTSTORE_SECRET_KEY"):
        spills.payload(spill)


def test_foreign_key_is_refused_without_a_secret(blobs: CountingBlobs):
    spills = Spills(store_over(blobs, secret=""))
    spill = spills.keep_argument(VALUE, media_type=JSON)

    assert spill.mac == ""
    assert spills.payload(spill) == VALUE
    for key in ("seals/00/7f3a", "../secret", "layout.json"):
        with pytest.raises(BadReference, match="outside"):
            spills.payload(changed(spill, key=key))


def test_value_is_readable_by_its_owner_only(spills: Spills):
    spill = spills.keep_argument(VALUE, media_type=JSON, owner="alice")

    assert spills.payload(spill, owner="alice") == VALUE
    for other in ("mallory", ""):
        with pytest.raises(NotYours):
            spills.payload(spill, owner=other)


def test_expired_reference_is_refused_without_a_request(spills: Spills, blobs: CountingBlobs):
    spill = signed(changed(spills.keep_argument(VALUE, media_type=JSON), expires_at=int(time.time()) - 1))

    with pytest.raises(ArtifactExpired, match=spill.id):
        spills.payload(spill)
    assert blobs.gets == 0


def test_deleted_or_damaged_value_is_an_error(spills: Spills, blobs: CountingBlobs):
    spill = spills.keep_argument(VALUE, media_type=JSON, compress=False)
    blobs.delete([spill.key])

    with pytest.raises(ArtifactMissing, match=spill.id):
        spills.payload(spill)

    blobs.put(spill.key, [VALUE.replace(b"v", b"w")], media_type="")
    with pytest.raises(ChecksumMismatch, match=spill.id):
        spills.payload(spill)


@pytest.mark.parametrize(("size_bytes", "gets"), [(1, 1), (8_000_000, 1), (11_000_000, 2), (23_456_789, 2)])
def test_large_value_is_decompressed_while_it_arrives(spills: Spills, blobs: CountingBlobs, size_bytes: int, gets: int):
    value = random.Random(size_bytes).randbytes(size_bytes // 2 + 1).hex().encode()[:size_bytes]
    spill = spills.keep_argument(value, media_type=JSON)

    assert spills.payload(spill, cached=False) == value
    assert blobs.gets == gets


@pytest.mark.parametrize("at", [0, 1_500_000, 6_000_000, -30, -1])
def test_damaged_or_truncated_large_value_is_an_error(spills: Spills, blobs: CountingBlobs, at: int):
    value = random.Random(5).randbytes(6_000_000).hex().encode()
    spill = spills.keep_argument(value, media_type=JSON)
    stored = bytearray(b"".join(blobs.get(spill.key)))
    flipped = bytearray(stored)
    flipped[at] ^= 1

    for wrong in (flipped, stored[: at % len(stored)]):
        blobs.delete([spill.key])
        blobs.put(spill.key, [bytes(wrong)], media_type="")
        with pytest.raises(ChecksumMismatch, match=spill.id):
            spills.payload(spill, cached=False)

    blobs.delete([spill.key])
    with pytest.raises(ArtifactMissing, match=spill.id):
        spills.payload(spill, cached=False)


def test_reference_outlives_a_scheduled_message(spills: Spills):
    now = time.time()

    soon = spills.keep_argument(VALUE, media_type=JSON)
    late = spills.keep_argument(VALUE, media_type=JSON, until=now + 40 * DAY_S)

    assert soon.expires_at == pytest.approx(now + 30 * DAY_S, abs=5)
    assert late.expires_at >= now + 47 * DAY_S
    assert not spills.outlives(soon, until=now + 24 * DAY_S)


def test_return_value_is_a_blob_of_its_attempt(spills: Spills):
    attempt = Attempt("7f3a", owner="alice", policy=OutputPolicy(retention="365d"))

    spill = spills.keep_value([VALUE], attempt=attempt, media_type=JSON)

    assert attempt.keys == (spill.key,)
    assert (spill.id, spill.owner) == ("7f3a", "alice")
    assert spill.key.startswith("blobs/365d/")


def test_reference_is_small_and_hides_its_key(spills: Spills):
    spill = spills.keep_argument(VALUE, media_type=JSON)

    assert pickle.loads(pickle.dumps(spill)) == spill
    assert spill.mac not in repr(spill)
    assert spill.key not in repr(spill)


def test_nothing_is_spilled_without_an_object_store():
    spills = Spills(store_over(None))

    assert not spills.is_available
    with pytest.raises(Misconfigured, match="RESULTSTORE_BLOBS_URL"):
        spills.keep_argument(VALUE, media_type=JSON)
