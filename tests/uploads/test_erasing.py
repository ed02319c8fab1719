"""Erasing an owner: deletes their results, uploads, spilled arguments and records, and nothing of other owners."""

import re
from dataclasses import dataclass

import pytest

from resultstore import Offer, Options, Output, Settings, State, Store, connect
from resultstore.capture.outputs import capture
from resultstore.capture.spills import Spills
from resultstore.dispatch.orders import Order, announce
from resultstore.index.leases import Leases
from resultstore.model import layout
from resultstore.model.errors import BadReference, BlobMissing, BlobStoreUnavailable, ResultDeleted
from resultstore.model.result import Result
from resultstore.ops.owner_lists import EraseOutcome, erase
from resultstore.store.attempt import Attempt, running
from resultstore.uploads.issuing import TicketIssuer
from resultstore.uploads.ticket import TicketStore, UploadSpec

SHRINK = Offer(task="shrink", title="Make it smaller", takes=("text/csv",), max_bytes=1 << 30, arguments=Options)


@pytest.fixture
def store(tmp_path) -> Store:
    return connect(Settings(index_url="memory://", blobs_url=tmp_path.as_uri(), secret_key="k" * 32))


@dataclass
class Person:
    """All that one owner may have."""

    store: Store
    name: str

    def fill(self) -> None:
        store, name = self.store, self.name
        store.owner_lister.is_complete()
        for result_id in (f"{name}-sealed", f"{name}-expired"):
            attempt = Attempt(result_id, owner=name)
            with running(attempt):
                capture(store, Output(data=b"content", name="out"))
            store.save(store.seal(attempt))
        store.index.delete(f"{name}-expired")
        announce(store, Order(id=f"{name}-waits", task="shrink", owner=name))
        store.save(Result(id=f"{name}-failed", owner=name, state=State.FAILURE))
        self.unfinished = Attempt(f"{name}-runs", owner=name)
        with running(self.unfinished):
            store.put(b"a part", name="part")
        Spills(store).keep_argument(b"x" * 20_000, media_type="application/json", owner=name)
        issuer = TicketIssuer(store, offers={"shrink": SHRINK})
        for number, size_bytes in enumerate((10, 40 << 20)):
            asked = UploadSpec(name="a.csv", size_bytes=size_bytes, media_type="text/csv", task="shrink", options={})
            ticket, _ = issuer.begin(issuer.validate(asked), owner=name, upload_id=f"{name}-upload-{number}")
            if ticket.upload_id:
                self.large = ticket
            else:
                store.blobs.put(ticket.key, [b"0123456789"], media_type="text/csv")
        Leases(store.index).take(layout.quota_key(name, "tickets"), "t", ttl_s=60, most=9)
        store.index.keys.keep(layout.idempotency_key(name, "digest"), b"1", ttl_s=60)

    def traces(self) -> list[str]:
        """Whatever still names this owner, or is stored of theirs; tombstones apart, which hold nothing else."""
        index, blobs = self.store.index, self.store.blobs
        # Where its URLs lead stays known of an upload, and nothing of its owner.
        kept = {key: content for key, (content, _) in index.keys._kept.items() if self.name in key}
        keys = [key for key, content in kept.items() if not key.endswith(":upload") or b"a.csv" in content]
        records = [
            one for one, entry in index._records.entries.items() if self.name in one and not index.load(one).deleted
        ]
        stored = [one.key for one in blobs.list("") if f"/{self.name}-" in one.key and not one.key.startswith("seals/")]
        seals = [one for one in (f"{self.name}-sealed", f"{self.name}-expired") if self.store.load(one) is not None]
        streams = [] if index.events.last_event_id(self.name) == "0-0" else ["events"]
        tickets = [one for one in TicketStore(self.store).open_ids() if self.name in one]
        return sorted({*keys, *records, *stored, *seals, *streams, *tickets, *index.listing.everything(self.name)})

    def arguments(self) -> list[str]:
        return [one for one in self.store.index.listing.everything(self.name) if one.startswith("spill-")]


@pytest.fixture
def ann(store: Store) -> Person:
    person = Person(store, "ann")
    person.fill()
    return person


@pytest.fixture
def bob(store: Store) -> Person:
    person = Person(store, "bob")
    person.fill()
    return person


def contents(store: Store) -> dict[str, bytes]:
    return {one.key: b"".join(store.blobs.get(one.key)) for one in store.blobs.list("") if "seals/" not in one.key}


def test_erasure_leaves_only_other_owners(store: Store, ann: Person, bob: Person):
    before = {key: content for key, content in contents(store).items() if "/ann-" not in key}
    [argument] = ann.arguments()
    bob.traces()  # which reads what has expired from its seal
    bobs = bob.traces()

    done = erase(store, "ann")

    assert done == EraseOutcome(results=7, arguments=1)
    assert ann.traces() == []
    assert bob.traces() == bobs
    with pytest.raises(BlobMissing):
        store.blobs.parts(ann.large.key, upload_id=ann.large.upload_id)
    assert store.blobs.parts(bob.large.key, upload_id=bob.large.upload_id) == ()
    assert contents(store) == {key: content for key, content in before.items() if argument not in key}


def test_nothing_comes_back_of_work_that_runs(store: Store, ann: Person):
    erase(store, "ann")

    with pytest.raises(ResultDeleted):
        store.seal(ann.unfinished)
    assert not store.save(ann.unfinished.result(State.FAILURE))
    with pytest.raises(ResultDeleted):
        announce(store, Order(id="ann-waits", task="shrink", owner="ann"))

    assert ann.traces() == []


def test_sealed_results_are_erased_without_the_index(store: Store, ann: Person, bob: Person):
    store.index.__init__()

    done = erase(store, "ann")

    assert done.results == 2
    assert store.load("ann-sealed") is store.load("ann-expired") is None
    assert store.load("bob-sealed").state == State.SUCCESS


@pytest.mark.parametrize("step", range(1, 12))
def test_failed_erasure_resumes_when_repeated(store: Store, ann: Person, monkeypatch, step: int):
    delete, calls = store.blobs.delete, []

    def fails_at_a_step(keys: list[str]) -> None:
        calls.append(keys)
        if len(calls) == step:
            raise BlobStoreUnavailable("away")
        delete(keys)

    monkeypatch.setattr(store.blobs, "delete", fails_at_a_step)
    with pytest.raises(BlobStoreUnavailable):
        erase(store, "ann")

    erase(store, "ann")

    assert ann.traces() == []


def test_unowned_results_cannot_be_erased_by_owner(store: Store):
    with pytest.raises(BadReference):
        erase(store, "")


def test_owner_still_storing_is_reported(store: Store, ann: Person, monkeypatch):
    everything, numbers = store.index.listing.everything, iter(range(10_000))

    def grows(owner: str) -> list[str]:
        store.save(Result(id=f"ann-{next(numbers)}", owner=owner, state=State.STARTED))
        return everything(owner)

    monkeypatch.setattr(store.index.listing, "everything", grows)
    with pytest.raises(BadReference, match=re.escape("'ann' still gets new results")):
        erase(store, "ann")
