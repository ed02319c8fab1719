"""Promises of Listing and OwnerLists: what a driver lists, for how long, and what it removes."""

import math
import time

from resultstore.index.index import Index, Owned
from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.result import Result, State
from resultstore.testing.promises import new_id, wait_until


def lists_the_owners_ids_newest_first(index: Index) -> None:
    """ids: yields the owner's ids only, the newest first, up to the limit."""
    owner, other = new_id(), new_id()
    ids = [new_id() for _ in range(5)]
    for n, result_id in enumerate(ids):
        index.save(Result(id=result_id, owner=owner, created_at=1000.0 + n), ttl_s=60)
    index.save(Result(id=new_id(), owner=other), ttl_s=60)
    index.save(Result(id=ids[0], owner=owner, state=State.SUCCESS, created_at=1000.0), ttl_s=60)
    assert list(index.listing.ids(owner=owner)) == ids[::-1]
    assert list(index.listing.ids(owner=owner, limit=2)) == ids[:2:-1]
    assert list(index.listing.ids(owner=new_id())) == []


def lists_every_id_while_results_are_deleted(index: Index) -> None:
    """ids: a caller that deletes each Result it is given is given them all, also several of one second."""
    owner = new_id()
    ids = [new_id() for _ in range(450)]
    for n, result_id in enumerate(ids):
        index.save(Result(id=result_id, owner=owner, created_at=1000.0 + n // 20), ttl_s=60)
    seen: list[str] = []
    for result_id in index.listing.ids(owner=owner, limit=1_000):
        seen.append(result_id)
        index.write_tombstone(result_id, owner=owner, ttl_s=60)
        index.owners.remove_deleted(result_id, owner=owner)
    assert sorted(seen) == sorted(ids)


def lists_no_deleted_or_expired_ids(index: Index) -> None:
    """ids: yields no id whose record was deleted or has expired."""
    owner = new_id()
    kept, deleted, expired = (Result(id=new_id(), owner=owner) for _ in range(3))
    index.save(expired, ttl_s=1)
    index.save(kept, ttl_s=60)
    index.save(deleted, ttl_s=60)
    index.delete(deleted.id)
    wait_until(lambda: index.load(expired.id) is None, limit_s=2.0)
    assert list(index.listing.ids(owner=owner)) == [kept.id]


def lists_all_ids_once(index: Index) -> None:
    """ids: without an owner yields every id once, up to the limit."""
    saved = {new_id() for _ in range(30)}
    for result_id in saved:
        index.save(Result(id=result_id, state=State.SUCCESS, value=b"v" * 500), ttl_s=60)
    listed = list(index.listing.ids(limit=1_000_000))
    assert saved <= set(listed)
    assert len(listed) == len(set(listed))
    assert len(list(index.listing.ids(limit=7))) == 7


def loads_many_in_order(index: Index) -> None:
    """load_many and peek_many: return what load and peek return for each id, in order."""
    small, unknown, large = (new_id() for _ in range(3))
    index.save(Result(id=small, state=State.SUCCESS, value=b"1"), ttl_s=60)
    index.save(Result(id=large, state=State.SUCCESS, value=b"v" * 5000), ttl_s=60)

    found = index.listing.load_many([large, unknown, small])
    peeked = index.listing.peek_many([large, unknown, small])

    assert [one and one.value for one in found] == [b"v" * 5000, None, b"1"]
    assert peeked == [index.peek(one) for one in (large, unknown, small)]
    assert [one and one.state for one in peeked] == [State.SUCCESS, None, State.SUCCESS]
    assert (index.listing.load_many([]), index.listing.peek_many([])) == ([], [])


def lists_a_stored_result_without_its_record(index: Index) -> None:
    """Owned and everything: list a sealed Result after its record has expired, a small one no longer."""
    for lasts_s in (600, None):
        owner = _owner()
        stored, small = _sealed(owner, lasts_s=lasts_s), Result(id=new_id(), owner=owner, state=State.SUCCESS)
        for one in (stored, small):
            index.save(one, ttl_s=1)

        for one in (stored, small):
            wait_until(lambda one=one: index.load(one.id) is None)  # type: ignore[misc]

        assert _listed(index, owner) == [stored.id] == list(index.listing.ids(owner=owner))
        assert stored.id in index.listing.everything(owner)


def drops_an_expired_result_from_the_list(index: Index) -> None:
    """owned: an expired Result leaves the list."""
    owner = _owner()
    index.save(_sealed(owner, lasts_s=2), ttl_s=1)
    index.save(_sealed(owner), ttl_s=60)

    wait_until(lambda: len(_listed(index, owner)) == 1)


def lists_parts_of_unfinished_work(index: Index) -> None:
    """owned: lists work whose Artifacts are stored, also after its record was deleted."""
    owner = _owner()
    part = Artifact(
        id="a", name="a", file_name="a", key="k", etag="e", size_bytes=1, stored_bytes=1, media_type="t/t", sha256="",
        expires_at=int(time.time() + 600),
    )  # fmt: skip
    running = Result(id=new_id(), owner=owner, state=State.PROGRESS, artifacts=(part,))
    index.save(running, ttl_s=60)
    index.save(running.moved(State.FAILURE, artifacts=()), ttl_s=60)  # the record names fewer of them
    index.delete(running.id)

    assert _listed(index, owner) == [running.id]


def lists_results_by_creation(index: Index) -> None:
    """owned: lists by time of creation, the newest first; a record restored from its seal keeps its place."""
    owner = _owner()
    made = [_sealed(owner, created_at=float(at)) for at in (2, 3, 1)]
    for one in made:
        index.save(one, ttl_s=60)
    index.delete(made[0].id)
    index.save(made[0].moved(State.SUCCESS, created_at=None, changed_at=9.0), ttl_s=60)

    assert list(index.listing.owned(owner)) == [Owned(made[1].id, 3.0), Owned(made[0].id, 2.0), Owned(made[2].id, 1.0)]


def lists_an_enlisted_id(index: Index) -> None:
    """enlist: an id is listed before anything is stored; without `made_at` only by everything."""
    owner = _owner()
    index.owners.enlist(owner, "listed", made_at=5.0, stored_until=math.inf)
    index.owners.enlist(owner, "argument", made_at=None, stored_until=time.time() + 600)

    assert list(index.listing.owned(owner)) == [Owned("listed", 5.0)]
    assert set(index.listing.everything(owner)) == {"listed", "argument"}


def keeps_unlisted_ids_as_stored(index: Index) -> None:
    """unlist: removes ids from owned; everything keeps them."""
    owner = _owner()
    index.owners.enlist(owner, "one", made_at=5.0, stored_until=math.inf)

    index.owners.unlist(owner, ["one"])

    assert (_listed(index, owner), index.listing.everything(owner)) == ([], ["one"])


def forgets_an_id(index: Index) -> None:
    """forget: removes an id from all lists of the owner, and announces nothing."""
    owner = _owner()
    index.owners.enlist(owner, "one", made_at=5.0, stored_until=math.inf)
    index.owners.enlist(owner, "two", made_at=5.0, stored_until=math.inf)

    index.owners.forget(owner, "one")

    assert (_listed(index, owner), index.listing.everything(owner)) == (["two"], ["two"])
    assert index.events.last_event_id(owner) == "0-0"


def removes_a_deleted_id(index: Index) -> None:
    """remove_deleted: removes a deleted Result from all lists of the owner."""
    owner = _owner()
    gone, kept = _sealed(owner), _sealed(owner)
    for one in (gone, kept):
        index.save(one, ttl_s=60)

    index.write_tombstone(gone.id, owner=owner, ttl_s=60)
    assert _listed(index, owner) == [kept.id]
    index.owners.remove_deleted(gone.id, owner=owner)

    assert index.listing.everything(owner) == [kept.id]


def removes_a_deleted_record_from_the_list(index: Index) -> None:
    """remove_deleted: an owner's list is empty after its only Result was deleted."""
    owner, mine = _owner(), new_id()
    index.save(Result(id=mine, owner=owner), ttl_s=60)
    index.delete(mine)
    index.owners.remove_deleted(mine, owner=owner)
    assert list(index.listing.ids(owner=owner)) == []


def finds_records_on_no_list(index: Index) -> None:
    """everything: returns each id whose record names the owner, also an unconfirmed one, but no deleted id."""
    owner, other = _owner(), _owner()
    listed, sent, foreign, deleted = (new_id() for _ in range(4))
    index.save(Result(id=listed, owner=owner, state=State.SUCCESS, value=b"v" * 5000), ttl_s=60)
    index.save(Result(id=deleted, owner=owner), ttl_s=60)
    index.write_tombstone(deleted, owner=owner, ttl_s=60)
    index.owners.remove_deleted(deleted, owner=owner)
    index.unconfirmed.save_if_absent(Result(id=sent, owner=owner, changed_at=time.time()), ttl_s=60)
    index.unconfirmed.save_if_absent(Result(id=foreign, owner=other, changed_at=time.time()), ttl_s=60)
    wait_until(lambda: index.peek(sent) is not None and index.peek(foreign) is not None, limit_s=2.0)
    assert sorted(index.listing.everything(owner)) == sorted([listed, sent])
    assert index.listing.everything(new_id()) == []


def erases_one_owner_only(index: Index) -> None:
    """erase: deletes the owner's lists, Events, counters and keys, and leaves other owners alone."""
    owner = _owner()
    other = f"{owner}x"
    for one in (owner, other):
        index.save(_sealed(one), ttl_s=60)
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
    [left_over] = index.listing.everything(owner)  # a record, which the caller deletes
    assert left_over != "argument"
    assert left(owner)[1:] == [False, None, None]


def _owner() -> str:
    """Return a new owner, whose name has characters of glob patterns."""
    return f"ann*[{new_id()}"


def _sealed(owner: str, *, lasts_s: float | None = 600, created_at: float | None = None) -> Result:
    expires_at = None if lasts_s is None else int(time.time() + lasts_s)
    return Result(
        id=new_id(), owner=owner, state=State.SUCCESS, sealed=True, expires_at=expires_at, created_at=created_at
    )


def _listed(index: Index, owner: str) -> list[str]:
    return [one.id for one in index.listing.owned(owner)]
