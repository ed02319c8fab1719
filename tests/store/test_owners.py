"""Owners' lists: they name what is stored for as long as it is, and say whether they are whole."""

import time

import pytest

from resultstore import State, Store
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable, IndexUnavailable
from resultstore.model.result import Result
from resultstore.ops import owner_lists
from resultstore.ops.owner_lists import RebuildOutcome, erase, rebuild, rebuild_in_background
from resultstore.store.attempt import Attempt, running

OWNER = "ann"


def seal(store: Store, result_id: str, *, owner: str = OWNER, retention: str | None = None) -> Result:
    """What a task of this owner leaves: its record too."""
    attempt = Attempt(result_id, owner=owner)
    with running(attempt):
        store.put(b"content of " + result_id.encode(), name="out", retention=retention)
    sealed = store.seal(attempt)
    store.save(sealed)
    return sealed


def listed(store: Store) -> list[str]:
    lines = store.owner_lister.newest(OWNER, limit=1_000)
    return [one.id for one in store.owner_lister.load(OWNER, [one.id for one in lines]).results]


def expire_records(store: Store) -> None:
    """As a day does."""
    for one in list(store.ids(limit=1_000)):
        store.index.delete(one)


def lose_index(store: Store) -> None:
    store.index.__init__()


def test_results_stay_listed_when_their_records_expire(store: Store):
    assert store.owner_lister.is_complete()
    ids = [f"job-{number:02}" for number in range(20)]
    for one in ids:
        seal(store, one)
    store.save(Result(id="small", owner=OWNER, state=State.SUCCESS, value=b"1"))
    expire_records(store)

    assert set(listed(store)) == set(ids), "more than are read at once"
    assert store.owner_lister.is_complete()


def test_lost_index_is_incomplete_until_rebuilt(store: Store):
    for number in range(3):
        seal(store, f"job-{number}")
    seal(store, "bobs", owner="bob")
    store.put(b"nobody's")
    store.delete(seal(store, "deleted").id)
    lose_index(store)

    assert not store.owner_lister.is_complete()
    done = rebuild(store)

    assert done == RebuildOutcome(seals=6, listed=4)
    assert store.owner_lister.is_complete()
    assert set(listed(store)) == {"job-0", "job-1", "job-2"}


def test_an_empty_store_is_complete(store: Store):
    assert store.owner_lister.is_complete()
    lose_index(store)
    assert store.owner_lister.is_complete()


def test_rebuilding_counts_seals_that_cannot_be_read(store: Store):
    seal(store, "well")
    store.blobs.replace(layout.seal_key("damaged"), b"junk", tags={})
    lose_index(store)

    assert rebuild(store) == RebuildOutcome(seals=2, listed=1, unreadable=1)


def test_index_lost_during_listing_is_incomplete(store: Store, monkeypatch):
    seal(store, "job")
    lose_index(store)
    enlist = store.index.owners.enlist

    def lost(*args: object, **kwargs: object) -> None:
        enlist(*args, **kwargs)
        lose_index(store)

    monkeypatch.setattr(store.index.owners, "enlist", lost)
    rebuild(store)

    assert not store.owner_lister.is_complete()


def test_store_outage_leaves_lists_incomplete(store: Store, monkeypatch):
    seal(store, "job")
    lose_index(store)

    def away(*_: object, **__: object) -> None:
        raise BlobStoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store.blobs, "get", away)
        with pytest.raises(BlobStoreUnavailable):
            rebuild(store)

    assert not store.owner_lister.is_complete()


def test_seal_during_index_outage_marks_lists_incomplete(store: Store, monkeypatch):
    assert store.owner_lister.is_complete()

    def away(*_: object, **__: object) -> None:
        raise IndexUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(store.index.owners, "enlist", away)
        store.seal(Attempt("unlisted", owner=OWNER), value=b"1")
    seal(store, "listed")

    assert not store.owner_lister.is_complete()
    rebuild(store)
    assert set(listed(store)) == {"unlisted", "listed"}


def test_an_id_is_listed_before_it_is_sealed(store: Store, monkeypatch):
    """So a worker that is killed right after its seal leaves nothing unlisted."""
    create, seen = store.blobs.create, []

    def creates(*args: object, **kwargs: object) -> object:
        seen.append([one.id for one in store.owner_lister.newest(OWNER, limit=9)])
        return create(*args, **kwargs)

    monkeypatch.setattr(store.blobs, "create", creates)
    store.seal(Attempt("job", owner=OWNER), value=b"1")

    assert seen == [["job"]]
    assert listed(store) == ["job"]


def test_list_entry_without_record_or_seal_is_dropped(store: Store):
    store.owner_lister.add(OWNER, "crashed", made_at=1.0, retention="30d")
    seal(store, "job")
    assert [one.id for one in store.owner_lister.newest(OWNER, limit=9)] == ["job", "crashed"]

    assert listed(store) == ["job"]

    assert [one.id for one in store.owner_lister.newest(OWNER, limit=9)] == ["job"]
    assert "crashed" in store.index.listing.everything(OWNER), "its bytes are still to be deleted"


def test_lines_whose_seals_cannot_be_read_now_stay(store: Store, monkeypatch):
    for number in range(20):
        seal(store, f"job-{number}")
    expire_records(store)
    calls = []

    def away(*_: object, **__: object) -> None:
        calls.append(1)
        raise BlobStoreUnavailable("away")

    ids = [one.id for one in store.owner_lister.newest(OWNER, limit=99)]
    with monkeypatch.context() as patch:
        patch.setattr(store.blobs, "get", away)
        loaded = store.owner_lister.load(OWNER, ids)

    assert (loaded.results, loaded.is_whole) == ((), False)
    assert len(calls) < 20, "a store that is away is not asked for each"
    assert store.owner_lister.load(OWNER, ids).is_whole
    assert len(store.owner_lister.newest(OWNER, limit=99)) == 20


def test_foreign_id_on_the_list_is_skipped(store: Store):
    seal(store, "bobs", owner="bob")
    store.index.owners.enlist(OWNER, "bobs", made_at=1.0, stored_until=float("inf"))

    assert listed(store) == []


@pytest.mark.parametrize(("retention", "days"), [("1d", 1), ("30d", 30), ("keep", None)])
def test_a_line_lives_as_long_as_its_class(store: Store, monkeypatch, retention: str, days: int | None):
    until = []
    enlist = store.index.owners.enlist
    monkeypatch.setattr(
        store.index.owners, "enlist", lambda *args, **told: until.append(told["stored_until"]) or enlist(*args, **told)
    )

    sealed = seal(store, "job", retention=retention)

    wanted = float("inf") if days is None else sealed.expires_at
    assert until[-1] == pytest.approx(wanted, abs=60)


def test_unreadable_seal_does_not_stop_the_list(store: Store, monkeypatch: pytest.MonkeyPatch):
    # given one seal of which the store says each time that it is away, which no store of ours can be made to do
    sealed = [seal(store, f"job-{number}") for number in range(4)]
    lose_index(store)
    whole = store.blobs.get

    def get(key: str, **span: int):
        if key == layout.seal_key(sealed[0].id):
            raise BlobStoreUnavailable("no answer")
        return whole(key, **span)

    with monkeypatch.context() as patch:
        patch.setattr(store.blobs, "get", get)
        with pytest.raises(BlobStoreUnavailable):
            rebuild(store)
        assert not store.owner_lister.is_complete()
        assert {one.id for one in store.owner_lister.newest(OWNER, limit=9)} == {one.id for one in sealed[1:]}

    assert rebuild(store).listed == 4
    assert store.owner_lister.is_complete()


def test_undeletable_result_does_not_stop_the_others(store: Store, monkeypatch: pytest.MonkeyPatch):
    sealed = [seal(store, f"job-{number}") for number in range(4)]
    whole, held = store.blobs.delete, {one.key for one in sealed[0].artifacts}

    def delete(keys):
        if held & set(keys):
            raise BlobStoreUnavailable("held")
        whole(keys)

    with monkeypatch.context() as patch:
        patch.setattr(store.blobs, "delete", delete)
        with pytest.raises(BlobStoreUnavailable):
            erase(store, OWNER)

    assert {one.key for one in store.blobs.list("blobs/")} == held
    erase(store, OWNER)
    assert list(store.blobs.list("blobs/")) == []


def test_rebuilding_goes_on_after_any_error(store: Store, monkeypatch: pytest.MonkeyPatch):
    calls = []
    monkeypatch.setattr(owner_lists, "_EVERY_S", 0.01)
    monkeypatch.setattr(store.owner_lister, "is_complete", lambda: calls.append(1) or 1 / 0)

    with rebuild_in_background(store):
        end = time.monotonic() + 30
        while len(calls) < 3:
            assert time.monotonic() < end
            time.sleep(0.01)
