"""Promises of Events: each change is announced after it is written, by id and by owner."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from resultstore.index.index import Feed, Index, Subscription
from resultstore.model.artifact import Artifact
from resultstore.model.event import Event, OwnerEvent
from resultstore.model.result import Progress, Result, State
from resultstore.model.seal import DELETED
from resultstore.testing.promises import SOON_S, new_id


def watches_each_change_in_order(index: Index) -> None:
    """watch: a watcher receives each change of its id in order."""
    one = Result(id=new_id())
    with index.events.watch(one.id) as watch:
        index.save(one.moved(State.STARTED), ttl_s=60)
        index.save(one.moved(State.PROGRESS, progress=Progress(1, 2, "half")), ttl_s=60)
        index.save(one.moved("PACKING"), ttl_s=60)
        received = [watch.wait(SOON_S) for _ in range(3)]
    assert received == [
        Event(one.id, "STARTED"),
        Event(one.id, "PROGRESS", Progress(1, 2, "half")),
        Event(one.id, "PACKING"),
    ]


def loses_no_change_before_the_wait(index: Index) -> None:
    """watch: is subscribed once the `with` block is entered."""
    for _ in range(50):
        result = Result(id=new_id(), state=State.SUCCESS)
        with index.events.watch(result.id) as watch:
            index.save(result, ttl_s=60)
            assert watch.wait(SOON_S) == Event(result.id, "SUCCESS")


def announces_after_the_write(index: Index) -> None:
    """save: a change is written before it is announced."""
    for _ in range(50):
        result = Result(id=new_id(), state=State.SUCCESS, value=b"v" * 500)
        with index.events.watch(result.id) as watch, ThreadPoolExecutor(1) as thread:
            thread.submit(index.save, result, ttl_s=60)
            assert watch.wait(SOON_S) is not None
            assert index.load(result.id) == result


def announces_no_refused_save(index: Index) -> None:
    """save: a refused save is not announced."""
    one = Result(id=new_id())
    index.save(one.moved(State.SUCCESS), ttl_s=60)
    with index.events.watch(one.id) as watch:
        index.save(one.moved(State.FAILURE), ttl_s=60)
        assert watch.wait(0.2) is None


def watches_only_its_own_id(index: Index) -> None:
    """watch: a watcher receives no change of another id; wait returns None after its time-out."""
    with index.events.watch(new_id()) as watch:
        index.save(Result(id=new_id()), ttl_s=60)
        began = time.monotonic()
        assert watch.wait(0.2) is None
        assert watch.wait(-1) is None
        assert 0.15 < time.monotonic() - began < 60


def watches_on_when_another_leaves(index: Index) -> None:
    """watch: a watcher that leaves does not affect another one of the same id."""
    one = Result(id=new_id())
    with index.events.watch(one.id) as first:
        with index.events.watch(one.id) as second:
            index.save(one.moved(State.STARTED), ttl_s=60)
            assert first.wait(SOON_S) == second.wait(SOON_S) == Event(one.id, "STARTED")
        index.save(one.moved(State.SUCCESS), ttl_s=60)
        assert first.wait(SOON_S) == Event(one.id, "SUCCESS")


def watches_an_id_again(index: Index) -> None:
    """watch: an id can be watched again and again."""
    one = Result(id=new_id())
    for n in range(100):
        with index.events.watch(one.id) as watch:
            index.save(one.moved(State.PROGRESS, progress=Progress(n)), ttl_s=60)
            assert watch.wait(SOON_S) == Event(one.id, "PROGRESS", Progress(n))


def reports_the_end_to_a_slow_watcher(index: Index) -> None:
    """watch: a slow watcher may lose changes in between, but not the last one."""
    one = Result(id=new_id())
    with index.events.watch(one.id) as watch:
        for n in range(1000):
            index.save(one.moved(State.PROGRESS, progress=Progress(n)), ttl_s=60)
        index.save(one.moved(State.SUCCESS), ttl_s=60)
        last = None
        while (event := watch.wait(0.5)) is not None:
            last = event
    assert last == Event(one.id, "SUCCESS")


def notifies_watchers_of_a_deletion(index: Index) -> None:
    """write_tombstone: announces the deletion to those who watch the id."""
    one = Result(id=new_id())
    index.save(one, ttl_s=60)
    with index.events.watch(one.id) as watch:
        index.write_tombstone(one.id, owner="", ttl_s=60)
        assert watch.wait(SOON_S) == Event(one.id, DELETED)


def reports_a_subscription_then_each_change(index: Index) -> None:
    """listen: an Event without a state says that an id is subscribed; then each change of it comes."""
    names = [new_id() for _ in range(3)]
    subscription = index.events.open_subscription()
    subscription.listen(names[:2])
    assert _receive_all(subscription, {(names[0], ""), (names[1], "")}) == {(names[0], ""), (names[1], "")}

    index.save(Result(id=names[1], state=State.SUCCESS), ttl_s=60)
    index.save(Result(id=names[2], state=State.SUCCESS), ttl_s=60)

    assert _received(subscription) == [(names[1], "SUCCESS")]
    assert subscription.wait(0.05) == []


def leaves_an_id(index: Index) -> None:
    """leave: an id that was left is silent; the others are not."""
    names = [new_id() for _ in range(2)]
    subscription = index.events.open_subscription()
    subscription.listen(names)
    _receive_all(subscription, {(names[0], ""), (names[1], "")})

    subscription.leave(names[0])
    subscription.wait(0)
    index.save(Result(id=names[0], state=State.SUCCESS), ttl_s=60)
    index.save(Result(id=names[1], state=State.SUCCESS), ttl_s=60)

    assert _received(subscription) == [(names[1], "SUCCESS")]


def subscribes_an_id_again(index: Index) -> None:
    """listen: an id that was left can be subscribed again."""
    name = new_id()
    subscription = index.events.open_subscription()
    subscription.listen([name])
    _received(subscription)
    subscription.leave(name)
    subscription.listen([name])
    assert (name, "") in _receive_all(subscription, {(name, "")})

    index.save(Result(id=name, state=State.FAILURE), ttl_s=60)

    assert (name, "FAILURE") in _receive_all(subscription, {(name, "FAILURE")})


def wakes_an_idle_subscription(index: Index) -> None:
    """listen: wakes a thread that waits on a subscription without ids."""
    name = new_id()
    subscription, came = index.events.open_subscription(), list[tuple[str, str]]()
    waiter = threading.Thread(target=lambda: came.extend(_received(subscription, 600)), daemon=True)
    waiter.start()
    time.sleep(0.1)

    subscription.listen([name])

    waiter.join(60)
    assert came == [(name, "")]


def is_silent_when_closed(index: Index) -> None:
    """close: a closed subscription is silent."""
    names = [new_id() for _ in range(3)]
    subscription = index.events.open_subscription()
    subscription.listen(names)
    _receive_all(subscription, {(one, "") for one in names})
    subscription.close()
    index.save(Result(id=names[0], state=State.SUCCESS), ttl_s=60)
    assert subscription.wait(0.05) == []


def feeds_only_the_owners_events(index: Index) -> None:
    """Feed.wait: returns the owner's Events only, in order, each with its stream id."""
    owner, mine = f"ann-{new_id()}", new_id()
    with _feed(index, owner) as feed:
        one = Result(id=mine, owner=owner)
        index.save(one, ttl_s=60)
        index.save(Result(id=new_id(), owner=f"not-{owner}"), ttl_s=60)
        parts = (_artifact("a"), _artifact("b"))
        index.save(one.moved(State.PROGRESS, progress=Progress(1, 2), artifacts=parts), ttl_s=60)
        index.owners.remove_deleted(mine, owner=owner)

        events = _fed(feed, 3)

        assert [one.event for one in events] == [
            Event(mine, "PENDING"),
            Event(mine, "PROGRESS", Progress(1, 2), 2),
            Event(mine, DELETED),
        ]
        assert {one.owner for one in events} == {owner}
        assert feed.wait(0.05) == []
        assert [one.at for one in events] == sorted((one.at for one in events), key=_numbers)


def reads_missed_events(index: Index) -> None:
    """read_missed and last_event_id: return what came after a stream id, and the newest one."""
    owner, mine = f"ann-{new_id()}", new_id()
    with _feed(index, owner) as feed:
        assert index.events.last_event_id(owner) == "0-0"
        assert index.events.read_missed(owner, after="0-0") == []
        for state in ("PENDING", "STARTED", "SUCCESS"):
            index.save(Result(id=mine, owner=owner, state=state), ttl_s=60)
        first, second, third = _fed(feed, 3)

        assert index.events.read_missed(owner, after=first.at) == [second, third]
        assert index.events.read_missed(owner, after=third.at) == []
        assert index.events.last_event_id(owner) == third.at


def returns_none_for_a_trimmed_event(index: Index) -> None:
    """read_missed: returns None if the stream id is not in the stream any more."""
    owner, mine = f"ann-{new_id()}", new_id()
    with _feed(index, owner) as feed:
        index.save(Result(id=mine, owner=owner), ttl_s=60)
        (oldest,) = _fed(feed, 1)
        for n in range(1_300):
            index.save(Result(id=mine, owner=owner, state="PROGRESS", progress=Progress(n)), ttl_s=60)

        assert index.events.read_missed(owner, after=oldest.at) is None
        assert index.events.read_missed(owner, after="0-0") is None
        assert index.events.read_missed(f"not-{owner}", after=oldest.at) is None


def announces_unowned_results_to_the_empty_owner(index: Index) -> None:
    """Events of Results without an owner reach the owner "", and are not stored."""
    mine = new_id()
    feed = index.events.open_feed()
    feed.listen([""])
    _fed(feed, 1)

    index.save(Result(id=mine), ttl_s=60)
    index.save(Result(id=new_id(), owner=f"ann-{mine}"), ttl_s=60)
    index.owners.remove_deleted(mine, owner="")

    end, events = time.monotonic() + SOON_S, list[OwnerEvent]()
    while len(events) < 2 and time.monotonic() < end:  # other tests may share the server
        events += [one for one in feed.wait(0.2) if one.event and one.event.id == mine]
    assert events == [OwnerEvent("", "", Event(mine, "PENDING")), OwnerEvent("", "", Event(mine, DELETED))]
    assert index.events.last_event_id("") == "0-0"
    feed.close()


def feeds_no_owner_that_was_left(index: Index) -> None:
    """Feed.leave: the Events of an owner that was left do not come."""
    owner = f"ann-{new_id()}"
    with _feed(index, owner) as feed:
        feed.leave(owner)
        feed.wait(0.05)
        index.save(Result(id=new_id(), owner=owner), ttl_s=60)
        assert feed.wait(0.05) == []


def _received(subscription: Subscription, seconds: float = SOON_S) -> list[tuple[str, str]]:
    """Return the first Events that come within `seconds`, as ids and states."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        events = subscription.wait(end - time.monotonic())
        if events:
            return [(event.id, event.state) for event in events if isinstance(event, Event)]
    return []


def _receive_all(subscription: Subscription, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
    end, events = time.monotonic() + SOON_S, set[tuple[str, str]]()
    while not wanted <= events and time.monotonic() < end:
        events.update(_received(subscription))
    return events


@contextmanager
def _feed(index: Index, owner: str) -> Iterator[Feed]:
    """Yield a feed that is subscribed to this owner."""
    feed = index.events.open_feed()
    feed.listen([owner])
    assert _fed(feed, 1) == [OwnerEvent(owner)]
    yield feed
    feed.close()


def _fed(feed: Feed, count: int) -> list[OwnerEvent]:
    """Return the first `count` Events, or fewer if no more come soon."""
    end, events = time.monotonic() + SOON_S, list[OwnerEvent]()
    while len(events) < count and time.monotonic() < end:
        events += feed.wait(end - time.monotonic())
    return events


def _numbers(at: str) -> tuple[int, ...]:
    return tuple(int(part) for part in at.split("-"))


def _artifact(name: str) -> Artifact:
    return Artifact(
        id="a", name=name, file_name=name, key="k", etag="e", size_bytes=1, stored_bytes=1, media_type="t/t", sha256=""
    )
