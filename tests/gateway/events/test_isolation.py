"""One unreadable Result or a failing feed does not end streams or listings."""

from collections.abc import Iterator

import httpx
import pytest

from resultstore.gateway.events import feed_reader, hub, viewer
from resultstore.gateway.views import result_view
from resultstore.index.redis.driver import RedisIndex
from resultstore.model import layout
from resultstore.model.errors import IndexUnavailable, RecordUnreadable
from resultstore.model.result import Result, State
from tests.gateway.events.conftest import Watched, serving

BAD = "bad-one"


@pytest.fixture
def choosy(redis_url, owner, monkeypatch) -> Iterator[Watched]:
    """Make the gateway fail to render one Result."""

    def view(result, **more):
        if result.id == BAD:
            raise ValueError("it cannot be shown")
        return result_view(result, **more)

    monkeypatch.setattr("resultstore.gateway.results.rendering.result_view", view)
    yield from serving(RedisIndex(redis_url, prefix=f"{owner}:"))


def test_unrenderable_result_ends_no_stream(choosy, owner):
    early = choosy.reader(owner)
    for one in (BAD, "one"):
        choosy.store.save(Result(id=one, owner=owner))
    choosy.store.save(Result(id=BAD, owner=owner, state=State.STARTED))
    choosy.store.save(Result(id="two", owner=owner))
    seen = early.took(3)
    late = choosy.reader(owner)
    back = choosy.reader(owner, last_id=early.events[1].id)

    assert [about for _, about in seen[1:]] == [("one", "PENDING"), ("two", "PENDING")]
    assert {one for one, _ in late.took(1)[0][1]} == {"one", "two"}
    assert back.took(1) == [("result", ("two", "PENDING"))]


def test_unrenderable_result_is_left_out_of_lists(choosy, owner):
    for one in (BAD, "one"):
        choosy.store.save(Result(id=one, owner=owner))

    listed = httpx.get(f"{choosy.url}/v1/results", headers={"Authorization": f"Bearer {owner}"})

    assert [one["id"] for one in listed.json()["items"]] == ["one"]


def test_unreadable_record_ends_no_stream(watched, owner, monkeypatch):
    # given a record of which every reading fails, whatever the index makes of it elsewhere
    reader, index = watched.reader(owner), watched.store.index
    whole_many, whole = index.listing.load_many, index.load

    def load_many(ids):
        if BAD in ids:
            raise RecordUnreadable("the record is of a newer format")
        return whole_many(ids)

    monkeypatch.setattr(index.listing, "load_many", load_many)
    monkeypatch.setattr(index, "load", lambda one: load_many([one])[0] if one == BAD else whole(one))
    for one in (BAD, "one", BAD, "two"):
        watched.store.save(Result(id=one, owner=owner))

    assert [about for _, about in reader.took(3)[1:]] == [("one", "PENDING"), ("two", "PENDING")]


def test_unreadable_owner_stream_stops_no_other(watched, owner, other):
    # given an owner of whose stream Redis says each time that it is no stream
    spoilt, well = watched.reader(other), watched.reader(owner)
    watched.store.save(Result(id="one", owner=owner))
    well.took(2)
    index = watched.store.index
    index.client.set(index._names.prefix + layout.owner_stream_key(other), "no stream")
    assert index.client.client_kill_filter(_type="pubsub") >= 1

    for number in range(3):
        watched.store.save(Result(id=f"n{number}", owner=owner))

    assert [about[0] for _, about in well.took(5)[2:]] == ["n0", "n1", "n2"]
    assert spoilt.ended == ""


@pytest.mark.parametrize("error", [IndexUnavailable("cut"), ValueError("any other")])
def test_one_failed_read_loses_no_event(watched, owner, monkeypatch, error):
    reader, failures = watched.reader(owner), []
    watched.store.save(Result(id="zero", owner=owner))
    reader.took(2)
    whole = watched.store.index.listing.load_many

    def load_many(ids):
        if len(failures) < 3:
            failures.append(ids)
            raise error
        return whole(ids)

    monkeypatch.setattr(watched.store.index.listing, "load_many", load_many)
    watched.store.save(Result(id="one", owner=owner))

    assert reader.took(3)[2] == ("result", ("one", "PENDING"))
    assert len(failures) == 3


def test_a_feed_that_fails_is_read_again(watched, owner, monkeypatch):
    failures, whole = [], feed_reader.FeedReader.__init__

    def init(self, *args, **options):
        whole(self, *args, **options)
        wait = self._feed.wait

        def failing(timeout_s):
            if len(failures) < 3:
                failures.append(timeout_s)
                raise ValueError("a message that cannot be read")
            return wait(timeout_s)

        self._feed.wait = failing

    monkeypatch.setattr(feed_reader.FeedReader, "__init__", init)
    reader = watched.reader(owner)
    watched.store.save(Result(id="one", owner=owner))

    assert reader.took(2)[1] == ("result", ("one", "PENDING"))
    assert len(failures) == 3


def test_a_viewer_that_fails_ends_no_other_stream(watched, owner, other, monkeypatch):
    monkeypatch.setattr(viewer, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(hub, "_TICK_S", 0.05)
    whole = viewer.Viewer.tick

    def tick(self, now):
        if other in self.owners:
            raise ValueError("unexpected")
        whole(self, now)

    monkeypatch.setattr(viewer.Viewer, "tick", tick)
    watched.reader(other)
    well = watched.reader(owner)

    well.until(lambda one: one.comments >= 3)
