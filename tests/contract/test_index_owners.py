"""Contract of OwnerLists: what each driver lists of an owner, for how long, and what it removes."""

import math
import time
import uuid

import pytest

from resultstore.index.index import Owned
from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.result import Result, State

PATIENCE_S = 20


@pytest.fixture
def owner() -> str:
    return f"ann*[{uuid.uuid4().hex}"


def sealed(owner: str, *, lasts_s: float | None = 600, **more: object) -> Result:
    expires_at = None if lasts_s is None else int(time.time() + lasts_s)
    return Result(id=uuid.uuid4().hex, owner=owner, state=State.SUCCESS, sealed=True, expires_at=expires_at, **more)


def listed(index, owner: str) -> list[str]:
    return [one.id for one in index.listing.owned(owner)]


def until(what) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("lasts_s", [600, None])
def test_a_stored_result_is_listed_without_its_record(index, owner, lasts_s):
    stored, small = sealed(owner, lasts_s=lasts_s), Result(id=uuid.uuid4().hex, owner=owner, state=State.SUCCESS)
    for one in (stored, small):
        index.save(one, ttl_s=1)

    until(lambda: index.load(stored.id) is None and index.load(small.id) is None)

    assert listed(index, owner) == [stored.id] == list(index.listing.ids(owner=owner))
    assert stored.id in index.listing.everything(owner)


def test_an_expired_result_leaves_the_list(index, owner):
    index.save(sealed(owner, lasts_s=2), ttl_s=1)
    index.save(sealed(owner), ttl_s=60)

    until(lambda: len(listed(index, owner)) == 1)


def test_parts_of_unfinished_work_are_stored_too(index, owner):
    part = Artifact(
        id="a", name="a", file_name="a", key="k", etag="e", size_bytes=1, stored_bytes=1, media_type="t/t", sha256="",
        expires_at=int(time.time() + 600),
    )  # fmt: skip
    running = Result(id=uuid.uuid4().hex, owner=owner, state=State.PROGRESS, artifacts=(part,))
    index.save(running, ttl_s=60)
    index.save(running.moved(State.FAILURE, artifacts=()), ttl_s=60)  # the record names fewer of them
    index.delete(running.id)

    assert listed(index, owner) == [running.id]


def test_results_are_listed_by_creation_newest_first(index, owner):
    made = [sealed(owner, created_at=float(at)) for at in (2, 3, 1)]
    for one in made:
        index.save(one, ttl_s=60)
    index.delete(made[0].id)
    index.save(made[0].moved(State.SUCCESS, created_at=None, changed_at=9.0), ttl_s=60)  # restored from its seal

    assert list(index.listing.owned(owner)) == [Owned(made[1].id, 3.0), Owned(made[0].id, 2.0), Owned(made[2].id, 1.0)]


def test_an_enlisted_id_is_listed_before_storing(index, owner):
    index.owners.enlist(owner, "listed", made_at=5.0, stored_until=math.inf)
    index.owners.enlist(owner, "argument", made_at=None, stored_until=time.time() + 600)

    assert list(index.listing.owned(owner)) == [Owned("listed", 5.0)]
    assert set(index.listing.everything(owner)) == {"listed", "argument"}


def test_unlisted_ids_stay_recorded_as_stored(index, owner):
    index.owners.enlist(owner, "one", made_at=5.0, stored_until=math.inf)

    index.owners.unlist(owner, ["one"])

    assert (listed(index, owner), index.listing.everything(owner)) == ([], ["one"])


def test_a_forgotten_id_is_on_no_list(index, owner):
    index.owners.enlist(owner, "one", made_at=5.0, stored_until=math.inf)
    index.owners.enlist(owner, "two", made_at=5.0, stored_until=math.inf)

    index.owners.forget(owner, "one")

    assert (listed(index, owner), index.listing.everything(owner)) == (["two"], ["two"])
    assert index.events.last_event_id(owner) == "0-0", "nothing is announced"


def test_a_deleted_id_is_on_no_list(index, owner):
    gone, kept = sealed(owner), sealed(owner)
    for one in (gone, kept):
        index.save(one, ttl_s=60)

    index.write_tombstone(gone.id, owner=owner, ttl_s=60)
    assert listed(index, owner) == [kept.id]
    index.owners.remove_deleted(gone.id, owner=owner)

    assert index.listing.everything(owner) == [kept.id]


def test_erasing_leaves_other_owners_alone(index, owner):
    other = f"{owner}x"
    for one in (owner, other):
        index.save(sealed(one), ttl_s=60)
        index.owners.enlist(one, "argument", made_at=None, stored_until=math.inf)
        index.keys.keep(layout.quota_key(one, "stored"), b"1", ttl_s=60)
        index.keys.keep(layout.idempotency_key(one, "digest"), b"1", ttl_s=60)

    index.owners.erase(owner)

    def left(one: str) -> list[object]:
        kept = [
            index.keys.read(layout.quota_key(one, "stored")),
            index.keys.read(layout.idempotency_key(one, "digest")),
        ]
        return [len(index.listing.everything(one)), index.events.last_event_id(one) != "0-0", *kept]

    assert left(other) == [2, True, b"1", b"1"]
    if left(owner)[0]:  # the caller deletes the records; in memory, only they name the owner
        assert index.listing.everything(owner) == [one.id for one in index.listing.owned(owner)]
    assert left(owner)[1:] == [False, None, None]
