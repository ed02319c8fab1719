"""Contract of Events, watching: a watcher receives each change after it is written."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from resultstore.model.event import Event
from resultstore.model.result import Progress, Result, State

SOON_S = 5.0


def test_a_watcher_receives_each_change_in_order(index, one):
    with index.events.watch(one.id) as watch:
        index.save(one.moved(State.STARTED), ttl_s=60)
        index.save(one.moved(State.PROGRESS, progress=Progress(1, 2, "half")), ttl_s=60)
        index.save(one.moved("PACKING"), ttl_s=60)
        heard = [watch.wait(SOON_S) for _ in range(3)]
    assert heard == [
        Event(one.id, "STARTED"),
        Event(one.id, "PROGRESS", Progress(1, 2, "half")),
        Event(one.id, "PACKING"),
    ]


def test_no_change_is_lost_before_the_wait(index):
    for _ in range(50):
        result = Result(id=uuid.uuid4().hex, state=State.SUCCESS)
        with index.events.watch(result.id) as watch:
            index.save(result, ttl_s=60)
            assert watch.wait(SOON_S) == Event(result.id, "SUCCESS")


def test_a_change_is_written_before_it_is_announced(index):
    for _ in range(50):
        result = Result(id=uuid.uuid4().hex, state=State.SUCCESS, value=b"v" * 500)
        with index.events.watch(result.id) as watch, ThreadPoolExecutor(1) as thread:
            thread.submit(index.save, result, ttl_s=60)
            assert watch.wait(SOON_S) is not None
            assert index.load(result.id) == result


def test_a_refused_save_is_not_announced(index, one):
    index.save(one.moved(State.SUCCESS), ttl_s=60)
    with index.events.watch(one.id) as watch:
        index.save(one.moved(State.FAILURE), ttl_s=60)
        assert watch.wait(0.2) is None


def test_a_watcher_receives_only_its_own_id(index, one):
    with index.events.watch(one.id) as watch:
        index.save(Result(id=uuid.uuid4().hex), ttl_s=60)
        began = time.monotonic()
        assert watch.wait(0.2) is None
        assert watch.wait(-1) is None
        assert 0.15 < time.monotonic() - began < 60


def test_one_leaving_watcher_does_not_affect_others(index, one):
    with index.events.watch(one.id) as first:
        with index.events.watch(one.id) as second:
            index.save(one.moved(State.STARTED), ttl_s=60)
            assert first.wait(SOON_S) == second.wait(SOON_S) == Event(one.id, "STARTED")
        index.save(one.moved(State.SUCCESS), ttl_s=60)
        assert first.wait(SOON_S) == Event(one.id, "SUCCESS")


def test_an_id_can_be_watched_again(index, one):
    for n in range(100):
        with index.events.watch(one.id) as watch:
            index.save(one.moved(State.PROGRESS, progress=Progress(n)), ttl_s=60)
            assert watch.wait(SOON_S) == Event(one.id, "PROGRESS", Progress(n))


def test_a_slow_waiter_still_receives_the_end(index, one):
    with index.events.watch(one.id) as watch:
        for n in range(1000):
            index.save(one.moved(State.PROGRESS, progress=Progress(n)), ttl_s=60)
        index.save(one.moved(State.SUCCESS), ttl_s=60)
        heard = None
        while (event := watch.wait(0.5)) is not None:
            heard = event
    assert heard == Event(one.id, "SUCCESS")
