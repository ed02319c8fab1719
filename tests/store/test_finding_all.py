"""`find` and `ids` look through everything unless the caller sets a limit."""

from itertools import islice

import pytest

from resultstore import Result

OLD = 60
NEWER = 1_000


@pytest.fixture
def full(store):
    for n in range(OLD):
        with store.result(f"old-{n}", owner="ann") as new:
            new.put(b"%PDF-1.7", name="old-invoice.csv")
    for n in range(NEWER):
        store.index.save(Result(id=f"newer-{n}", owner="ann"), ttl_s=600)
    return store


def test_find_reaches_results_behind_a_thousand(full):
    assert len(list(full.find(name="old-invoice.csv", owner="ann"))) == OLD
    assert len(list(full.find(name="old-invoice.csv"))) == OLD


def test_ids_are_all_listed_unless_limited(full):
    assert len(set(full.ids(owner="ann"))) == OLD + NEWER
    assert len(set(full.ids())) == OLD + NEWER
    assert len(list(full.ids(owner="ann", limit=100))) == 100
    assert list(full.find(name="old-invoice.csv", owner="ann", limit=NEWER)) == []


def test_find_reads_a_hundred_at_a_time(full, monkeypatch):
    read: list[int] = []
    load_many = full.index.listing.load_many
    monkeypatch.setattr(full.index.listing, "load_many", lambda ids: read.append(len(ids)) or load_many(ids))

    assert len(list(islice(full.find(name="*.csv", owner="ann"), 1))) == 1
    assert max(read) == 100
