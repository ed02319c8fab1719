"""Contract of Events, feeds: the Events of an owner, in each driver."""

import time
import uuid

import pytest

from resultstore.index.memory.driver import MemoryIndex
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.artifact import Artifact
from resultstore.model.event import Event, OwnerEvent
from resultstore.model.result import Progress, Result, State
from resultstore.model.seal import DELETED

SOON_S = 5.0


@pytest.fixture(params=["memory", "redis", "redis with a prefix"])
def index(request):
    if request.param == "memory":
        return MemoryIndex()
    prefix = f"{uuid.uuid4().hex}:" if "prefix" in request.param else ""
    return RedisIndex(request.getfixturevalue("redis_url"), prefix=prefix)


@pytest.fixture
def owner():
    return f"ann-{uuid.uuid4().hex}"


@pytest.fixture
def mine():
    """A unique id, because the Redis is shared."""
    return uuid.uuid4().hex


@pytest.fixture
def feed(index, owner):
    """A feed that is subscribed to this owner."""
    feed = index.events.open_feed()
    feed.listen([owner])
    assert received(feed, 1) == [OwnerEvent(owner)]
    yield feed
    feed.close()


def received(feed, count: int):
    """Return the first `count` Events, or fewer if no more come soon."""
    end, events = time.monotonic() + SOON_S, []
    while len(events) < count and time.monotonic() < end:
        events += feed.wait(end - time.monotonic())
    return events


def artifact(name: str) -> Artifact:
    return Artifact(
        id="a", name=name, file_name=name, key="k", etag="e", size_bytes=1, stored_bytes=1, media_type="t/t", sha256=""
    )


def test_a_feed_delivers_only_the_owners_events(index, owner, feed, mine):
    one = Result(id=mine, owner=owner)
    index.save(one, ttl_s=60)
    index.save(Result(id=uuid.uuid4().hex, owner=f"not-{owner}"), ttl_s=60)
    index.save(one.moved(State.PROGRESS, progress=Progress(1, 2), artifacts=(artifact("a"), artifact("b"))), ttl_s=60)
    index.owners.remove_deleted(mine, owner=owner)

    events = received(feed, 3)

    assert [one.event for one in events] == [
        Event(mine, "PENDING"),
        Event(mine, "PROGRESS", Progress(1, 2), 2),
        Event(mine, DELETED),
    ]
    assert {one.owner for one in events} == {owner}
    assert feed.wait(0.05) == []
    assert [one.at for one in events] == sorted((one.at for one in events), key=numbers)


def numbers(at: str) -> tuple[int, ...]:
    return tuple(int(part) for part in at.split("-"))


def test_missed_events_are_read_after_an_id(index, owner, feed, mine):
    assert index.events.last_event_id(owner) == "0-0"
    assert index.events.read_missed(owner, after="0-0") == []
    for state in ("PENDING", "STARTED", "SUCCESS"):
        index.save(Result(id=mine, owner=owner, state=state), ttl_s=60)
    first, second, third = received(feed, 3)

    assert index.events.read_missed(owner, after=first.at) == [second, third]
    assert index.events.read_missed(owner, after=third.at) == []
    assert index.events.last_event_id(owner) == third.at


def test_a_trimmed_event_id_returns_none(index, owner, feed, mine):
    index.save(Result(id=mine, owner=owner), ttl_s=60)
    (oldest,) = received(feed, 1)
    for n in range(1_300):
        index.save(Result(id=mine, owner=owner, state="PROGRESS", progress=Progress(n)), ttl_s=60)

    assert index.events.read_missed(owner, after=oldest.at) is None
    assert index.events.read_missed(owner, after="0-0") is None
    assert index.events.read_missed(f"not-{owner}", after=oldest.at) is None


def test_a_deleted_result_leaves_its_owners_list(index, owner, mine):
    index.save(Result(id=mine, owner=owner), ttl_s=60)
    index.delete(mine)
    index.owners.remove_deleted(mine, owner=owner)
    assert list(index.listing.ids(owner=owner)) == []


def test_unowned_events_reach_the_empty_owner(index, owner, mine):
    feed = index.events.open_feed()
    feed.listen([""])
    received(feed, 1)

    index.save(Result(id=mine), ttl_s=60)
    index.save(Result(id=uuid.uuid4().hex, owner=owner), ttl_s=60)
    index.owners.remove_deleted(mine, owner="")

    end, events = time.monotonic() + SOON_S, []
    while len(events) < 2 and time.monotonic() < end:  # other tests share this Redis
        events += [one for one in feed.wait(0.2) if one.event and one.event.id == mine]
    assert events == [OwnerEvent("", "", Event(mine, "PENDING")), OwnerEvent("", "", Event(mine, DELETED))]
    assert index.events.last_event_id("") == "0-0"
    feed.close()


def test_a_feed_can_leave_an_owner(index, owner, feed, mine):
    feed.leave(owner)
    feed.wait(0.05)
    index.save(Result(id=mine, owner=owner), ttl_s=60)
    assert feed.wait(0.05) == []
