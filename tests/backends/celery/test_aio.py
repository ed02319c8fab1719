"""Aio: coroutines wait for results by the thousand with one thread, and are woken at once."""

import asyncio
import os
import threading
import time
import uuid

import pytest
import redis
from celery import Celery, chain, group, states
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult

from resultstore.backends.celery import aio
from resultstore.model import layout
from resultstore.model.errors import Misconfigured
from tests.backends.celery.conftest import Made
from tests.backends.celery.waiters import WOKEN_S, hear_announcements_only
from tests.index.redis.conftest import PrivateRedis


def results(client: Celery, count: int) -> list[AsyncResult]:
    return [client.AsyncResult(uuid.uuid4().hex) for _ in range(count)]


def later(client: Celery, ended: list[AsyncResult], after_s: float = 0.2) -> None:
    def work() -> None:
        for number, one in enumerate(ended):
            client.backend.mark_as_done(one.id, number)

    threading.Timer(after_s, work).start()


def watchers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "resultstore-awaiting"}


def test_what_is_there_already_is_given_unasked(client: Celery, task_id: str, monkeypatch: pytest.MonkeyPatch):
    hear_announcements_only(monkeypatch)
    client.backend.mark_as_done(task_id, {"large": "v" * 50_000})
    assert asyncio.run(aio.get(client.AsyncResult(task_id), timeout_s=WOKEN_S)) == {"large": "v" * 50_000}


def test_an_announcement_alone_wakes_a_coroutine(client: Celery, monkeypatch: pytest.MonkeyPatch):
    hear_announcements_only(monkeypatch)

    async def woken() -> object:
        (one,) = results(client, 1)
        threading.Timer(0.1, client.backend.mark_as_done, [one.id, 1]).start()
        return await aio.get(one, timeout_s=WOKEN_S)

    async def all_woken() -> list[object]:
        return [await woken() for _ in range(9)]

    assert asyncio.run(all_woken()) == [1] * 9


def test_many_coroutines_share_a_thread_and_leave_nothing(client: Celery, raw: redis.Redis):
    before, counted = watchers(), []  # of other tests' backends, about to retire
    client.backend  # noqa: B018 - Celery makes one for each thread that is the first to ask (celery/app/base.py)

    async def wait_for_all() -> list[object]:
        waited = results(client, 250)
        later(client, waited, 0.5)
        await asyncio.sleep(0.3)
        answers = asyncio.gather(*(aio.get(one, timeout_s=20) for one in waited))
        await asyncio.sleep(0.1)
        counted.append(len(watchers() - before))
        return await answers

    loops = [threading.Thread(target=lambda: counted.append(asyncio.run(wait_for_all()))) for _ in range(2)]
    for one in loops:
        one.start()
    for one in loops:
        one.join()
    assert [one for one in counted if isinstance(one, int)] == [1, 1]
    assert [one for one in counted if isinstance(one, list)] == [list(range(250))] * 2
    end = time.monotonic() + 5
    while raw.pubsub_channels("*"):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_results_arrive_in_order_of_completion(client: Celery):
    async def order() -> tuple[list[tuple[str, object]], list[str]]:
        waited, seen = results(client, 5), []
        ends = [one.id for one in waited[::-1]]
        client.backend.mark_as_done(ends[0], 0)
        async for one, value in aio.as_completed(waited, timeout_s=10):
            seen.append((one.id, value))
            if len(seen) < len(ends):
                client.backend.mark_as_done(ends[len(seen)], len(seen))
        return seen, ends

    seen, ends = asyncio.run(order())
    assert seen == [(one, number) for number, one in enumerate(ends)]


def test_nested_group_returns_values_in_its_shape(client: Celery):
    one, two, three = waited = results(client, 3)
    later(client, waited)
    nested = client.GroupResult("outer", [one, client.GroupResult("inner", [two, three])])
    assert asyncio.run(aio.get(nested, timeout_s=10)) == [0, [1, 2]]
    assert asyncio.run(aio.get(client.GroupResult("none", []))) == []


def test_an_error_is_raised_or_given(client: Celery, task_id: str):
    client.backend.mark_as_failure(task_id, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(aio.get(client.AsyncResult(task_id)))
    given = asyncio.run(aio.get(client.AsyncResult(task_id), propagate=False))
    assert isinstance(given, ValueError)


def test_missing_result_times_out(client: Celery, task_id: str):
    with pytest.raises(CeleryTimeoutError):
        asyncio.run(asyncio.wait_for(aio.get(client.AsyncResult(task_id), timeout_s=0.2), 60))


def test_cancelled_coroutine_is_not_notified(client: Celery, task_id: str):
    async def cancelled() -> None:
        waiting = asyncio.create_task(aio.get(client.AsyncResult(task_id)))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cancelled())
    assert client.backend.notifier.get()._waiting == {}


def test_waiters_survive_a_restart_of_redis(client: Celery, server: PrivateRedis):
    async def through_a_restart() -> object:
        (one,) = results(client, 1)
        waiting = asyncio.create_task(aio.get(one, timeout_s=20))
        await asyncio.sleep(0.2)
        server.stop()
        await asyncio.sleep(0.2)
        server.start()
        client.backend.mark_as_done(one.id, "after")
        return await waiting

    assert asyncio.run(through_a_restart()) == "after"


def test_a_lost_announcement_costs_seconds_and_no_more(client: Celery, raw: redis.Redis, task_id: str):
    async def unheard() -> float:
        waiting = asyncio.create_task(aio.get(client.AsyncResult(task_id), timeout_s=10))
        await asyncio.sleep(0.3)
        client.backend.mark_as_done("other", 1)
        kept, key = raw.get(layout.record_key("other")), layout.record_key(task_id)
        began = time.monotonic()
        raw.set(key, kept)  # without an announcement
        assert await waiting == 1
        return time.monotonic() - began

    assert asyncio.run(unheard()) < 3


def test_a_fork_has_a_thread_of_its_own(client: Celery, task_id: str):
    client.backend.mark_as_done(task_id, 7)
    assert asyncio.run(aio.get(client.AsyncResult(task_id))) == 7
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, str(asyncio.run(aio.get(client.AsyncResult(task_id), timeout_s=5))).encode())
        os._exit(0)
    assert os.read(read, 10) == b"7"
    os.wait()


def test_state_and_completion_read_no_values(client: Celery, raw: redis.Redis):
    done, failed, open_one = results(client, 3)
    client.backend.mark_as_done(done.id, "v" * 10_000)
    client.backend.mark_as_failure(failed.id, ValueError())
    assert asyncio.run(aio.state(done)) == states.SUCCESS
    everything = client.GroupResult("g", [done, failed, open_one, *results(client, 197)])
    raw.config_resetstat()
    far = asyncio.run(aio.completion(everything))
    assert (far.total, far.succeeded, far.failed, far.ended, far.percent) == (200, 1, 1, 2, 1.0)
    stats = raw.info("commandstats")
    assert (stats["cmdstat_mget"]["calls"], stats.get("cmdstat_get")) == (1, None)
    assert aio.completion_of(client.GroupResult("none", [])).percent == 100


def test_another_backend_is_refused():
    other = Celery("other", broker="memory://", backend="cache+memory://", set_as_current=False)
    with pytest.raises(Misconfigured, match="not resultstore"):
        asyncio.run(aio.get(other.AsyncResult("one")))


def test_sent_id_differs_from_an_unknown_one(made: Made, task_id: str):
    client = made(resultstore_track_sent=True, result_expires=600)
    sent = client.send_task("any")
    assert (sent.state, client.AsyncResult(task_id).state) == ("SENT", states.PENDING)
    assert not sent.ready()
    client.backend.mark_as_started(sent.id)
    client.backend.on_task_call(None, sent.id)  # a retry's message
    assert sent.state == states.STARTED
    client.backend.mark_as_done(sent.id, 1)
    assert sent.get(timeout=5) == 1
    assert 500 < client.backend.client.ttl(layout.record_key(client.send_task("any").id)) <= 600


@pytest.mark.usefixtures("worker")
def test_coroutines_wait_for_a_real_worker(app: Celery):
    add, total, fails = (app.tasks[f"worker_app.{name}"] for name in ("add", "total", "fails"))

    async def work() -> tuple[object, ...]:
        fan = chain(add.s(1, 1), group(add.s(n) for n in range(20)), total.s()).delay()
        failing = chain(add.s(1, 1), fails.si("link"), add.si(1, 1)).delay()
        many = group(add.s(n, n) for n in range(20)).delay()
        return await asyncio.gather(
            aio.get(fan, timeout_s=30), aio.get(failing, timeout_s=30, propagate=False), aio.get(many, timeout_s=30)
        )

    summed, error, values = asyncio.run(work())
    assert (summed, str(error), values) == (2 * 20 + 190, "link", [2 * n for n in range(20)])


def test_old_name_of_as_completed_warns():
    with pytest.warns(DeprecationWarning, match="as_completed"):
        aio.as_ended([])
