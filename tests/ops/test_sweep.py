"""Sweep: what has expired goes, later; nothing goes before its time."""

import msgspec
import pytest

from resultstore import Settings, Store, connect
from resultstore.model import layout, seal as documents
from resultstore.model.errors import BlobStoreUnavailable
from resultstore.ops.sweep import SweepOutcome, sweep

DAY_S = layout.DAY_S


@pytest.fixture(params=["memory", "local"])
def store(request, tmp_path) -> Store:
    url = "memory://" if request.param == "memory" else tmp_path.as_uri()
    return connect(Settings(index_url="memory://", blobs_url=url, secret_key="k" * 32))


def after(store: Store, days: float) -> SweepOutcome:
    """Sweep as if this many days had gone by."""
    plain = store.blobs.now
    store.blobs.now = lambda: plain() + days * DAY_S
    try:
        return sweep(store.blobs, store.signatures.macs)
    finally:
        store.blobs.now = plain


@pytest.mark.parametrize(("retention", "days"), [("1d", 1), ("7d", 7), ("30d", 30), ("365d", 365)])
def test_blobs_expire_a_day_late_seals_three(store, retention, days):
    store.put(b"content", retention=retention)

    assert after(store, days + 0.9) == SweepOutcome(0, 0)
    assert after(store, days + 1.1) == SweepOutcome(1, 0)
    assert after(store, days + 2.9) == SweepOutcome(0, 0)
    assert after(store, days + 3.1) == SweepOutcome(0, 1)
    assert list(store.blobs.list("")) == []


def test_what_is_kept_stays(store):
    artifact = store.put(b"content", retention="keep")

    assert after(store, 10_000) == SweepOutcome(0, 0)
    assert store.open(artifact).read() == b"content"


def test_swept_artifact_is_reported_as_expired(store):
    artifact = store.put(b"content", retention="1d")
    after(store, 2.5)
    store.index.delete(artifact.id)

    assert store.load(artifact.id).artifacts == (artifact,)


def test_blobs_of_a_killed_attempt_are_deleted(store):
    key = layout.blob_key("job", retention="7d", nonce=layout.new_nonce(), n=0)
    store.blobs.put(key, [b"left over"], media_type="a/b")

    assert after(store, 8.1) == SweepOutcome(1, 0)


def test_tombstone_goes_when_no_attempt_remains(store):
    store.delete(store.put(b"content").id)

    assert after(store, 32.9) == SweepOutcome(0, 0)
    assert after(store, 33.1) == SweepOutcome(0, 1)


def test_tombstone_without_expiry_goes_after_four_days(store):
    """As earlier versions wrote them."""
    stone = documents.tombstone("job", nonce=layout.new_nonce(), now=store.blobs.now())
    stone = msgspec.structs.replace(stone, expires_at=None)
    store.blobs.replace(layout.seal_key("job"), documents.encode(stone, store.signatures.macs), tags={})

    assert after(store, 3.9) == SweepOutcome(0, 0)
    assert after(store, 4.1) == SweepOutcome(0, 1)


def test_unreadable_seal_is_left_alone(store):
    store.blobs.replace("seals/00/broken", b"junk", tags={})

    assert after(store, 1_000) == SweepOutcome(0, 0)


def test_more_than_one_batch_goes(store):
    for number in range(1_100):
        key = layout.blob_key(f"job-{number}", retention="1d", nonce=layout.new_nonce(), n=0)
        store.blobs.put(key, [b"x"], media_type="a/b")

    assert after(store, 2.1) == SweepOutcome(1_100, 0)


def test_a_seal_that_cannot_be_read_stops_nobody(store, monkeypatch):
    # given one seal that the store never gives, which no store of ours can be made to do
    bad, *_ = [store.put(b"content", retention="1d") for _ in range(3)]
    whole = store.blobs.get

    def get(key, **span):
        if key == layout.seal_key(bad.id):
            raise BlobStoreUnavailable("no answer")
        return whole(key, **span)

    monkeypatch.setattr(store.blobs, "get", get)

    assert after(store, 4.1) == SweepOutcome(3, 2)


def test_a_blob_that_cannot_be_deleted_stops_nobody(store, monkeypatch):
    bad, *_ = [store.put(b"content", retention="1d") for _ in range(3)]
    whole = store.blobs.delete

    def delete(keys):
        if bad.key in keys:
            raise BlobStoreUnavailable("held")
        whole(keys)

    monkeypatch.setattr(store.blobs, "delete", delete)

    assert after(store, 2.1) == SweepOutcome(2, 0)
    assert [one.key for one in store.blobs.list("blobs/")] == [bad.key]


def test_a_store_that_is_away_ends_the_sweep(store, monkeypatch):
    for _ in range(12):
        store.put(b"content", retention="1d")

    def away(_keys):
        raise BlobStoreUnavailable("no answer")

    monkeypatch.setattr(store.blobs, "delete", away)

    with pytest.raises(BlobStoreUnavailable):
        after(store, 2.1)
