"""Redis driver: the records of an owner, found on a server with more keys than a listing scans."""

import pytest

from resultstore.index.redis import client, listing
from resultstore.model.result import Result


def test_everything_finds_more_than_a_listing_scans(index, raw, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(client, "_SCAN_BATCH", 10)
    monkeypatch.setattr(listing, "_SCAN_ROUNDS", 1)
    monkeypatch.setattr(listing, "_READ_MAX", 3)
    ids = {f"id-{n}" for n in range(200)}
    for one in ids:
        index.save(Result(id=one, owner="ann"), ttl_s=60)
    raw.set("rs:{text}", "of another program")
    raw.rpush("rs:{list}", "of another program")

    index.owners.erase("ann")  # which leaves the records

    assert len(list(index.listing.ids(limit=1_000))) < len(ids)
    found = index.listing.everything("ann")
    assert (set(found), len(found)) == (ids, len(ids))
