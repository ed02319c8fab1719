"""Waiting: waiters wake, whatever announcement was lost and whichever process wrote the result (P6)."""

import threading
import time
import uuid

import msgspec
import pytest
import redis
from celery import Celery, states
from celery.app.task import Context
from celery.exceptions import TimeoutError as CeleryTimeoutError

from resultstore.backends.celery.wait import consumer
from resultstore.model import layout, record
from resultstore.model.result import Result, State
from resultstore.store import waiting
from tests.backends.celery.waiters import LOST_S, WOKEN_S, Waiter, hear_announcements_only, listening, send, silent
from tests.index.redis.conftest import PrivateRedis


def without_announcement(raw: redis.Redis, app: Celery, task_id: str, value: object) -> None:
    main, _ = record.encode(Result(id=task_id, state=State.SUCCESS, value=app.backend.encoded(value)))
    raw.set(layout.record_key(task_id), main)


def test_an_announcement_alone_wakes_a_waiter(client: Celery, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch):
    hear_announcements_only(monkeypatch)
    for number in range(30):
        task_id = uuid.uuid4().hex
        waiter = Waiter(client, task_id)
        listening(raw, task_id)
        client.backend.store_result(task_id, number, states.SUCCESS)
        assert waiter.within(WOKEN_S) == number
    silent(raw)


def test_a_lost_announcement_costs_at_most_three_seconds(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    waiter = Waiter(client, task_id)
    listening(raw, task_id)
    time.sleep(0.1)  # later than the check after 50 ms
    without_announcement(raw, client, task_id, "silent")
    assert waiter.within(LOST_S) == "silent"
    silent(raw)


def test_lost_announcement_of_sent_task_is_found_early(
    client: Celery, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    early_s = consumer._SENT_CHECK_S
    hear_announcements_only(monkeypatch)
    monkeypatch.setattr(consumer, "_SENT_CHECK_S", early_s)
    assert early_s < waiting.RECHECK_S
    task_id = uuid.uuid4().hex
    result = send(client, task_id)
    without_announcement(raw, client, task_id, "silent")
    assert result.get(timeout=WOKEN_S) == "silent"


def test_wait_for_sent_task_first_reads_no_record(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    kept_alive = send(client, task_id)
    listening(raw, task_id)
    raw.config_resetstat()
    waiter = Waiter(client, task_id)
    time.sleep(0.3)
    client.backend.store_result(task_id, "told", states.SUCCESS)
    assert waiter.within(5) == "told"
    assert "cmdstat_mget" not in raw.info("commandstats")
    assert kept_alive.get() == "told"


def test_what_is_there_already_needs_no_subscription(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    client.backend.store_result(task_id, 1, states.SUCCESS)
    raw.config_resetstat()
    assert client.AsyncResult(task_id).get(timeout=5) == 1
    assert "cmdstat_subscribe" not in raw.info("commandstats")


def test_large_record_is_fetched_for_waiters_only(client: Celery, raw: redis.Redis):
    large = "v" * 2_000
    left, waited = uuid.uuid4().hex, uuid.uuid4().hex
    result = send(client, left)
    waiter = Waiter(client, waited)
    listening(raw, waited)
    time.sleep(0.1)
    raw.config_resetstat()
    client.backend.store_result(left, large, states.SUCCESS)
    client.backend.store_result(waited, large, states.SUCCESS)
    assert waiter.within(5) == large
    assert raw.info("commandstats")["cmdstat_mget"]["calls"] == 1
    silent(raw)
    assert result.get(timeout=5) == large


def test_broken_connection_is_restored_and_everything_checked(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    waiter = Waiter(client, task_id)
    listening(raw, task_id)
    raw.client_kill_filter(_type="pubsub")
    client.backend.store_result(task_id, "after", states.SUCCESS)
    assert waiter.within(LOST_S) == "after"


def test_redis_may_restart_during_a_wait(client: Celery, server: PrivateRedis, raw: redis.Redis):
    waiters = {task_id: Waiter(client, task_id) for task_id in (uuid.uuid4().hex, uuid.uuid4().hex)}
    for task_id in waiters:
        listening(raw, task_id)

    server.stop()
    time.sleep(0.3)
    server.start()
    for task_id in waiters:
        client.backend.store_result(task_id, task_id, states.SUCCESS)

    for task_id, waiter in waiters.items():
        assert waiter.within(LOST_S) == task_id
    silent(raw)


def test_result_is_stored_after_redis_was_away(client: Celery, server: PrivateRedis):
    server.stop()
    threading.Timer(4, server.start).start()  # longer than the index itself tries
    task_id = uuid.uuid4().hex
    running = Context(id=task_id, called_directly=False)  # a client would not be kept waiting
    client.backend.store_result(task_id, "patient", states.SUCCESS, request=running)
    assert client.AsyncResult(task_id).get(timeout=5) == "patient"


def test_many_threads_wait_for_many_results_at_once(client: Celery, raw: redis.Redis):
    waiters = {task_id: Waiter(client, task_id) for task_id in (uuid.uuid4().hex for _ in range(60))}
    for task_id in waiters:
        listening(raw, task_id)
    for task_id in waiters:
        client.backend.store_result(task_id, task_id, states.SUCCESS)
    for task_id, waiter in waiters.items():
        assert waiter.within(LOST_S) == task_id
    silent(raw)


def test_many_threads_wait_for_one_result(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    waiters = [Waiter(client, task_id) for _ in range(20)]
    listening(raw, task_id)
    client.backend.store_result(task_id, "for all", states.SUCCESS)
    assert [waiter.within(LOST_S) for waiter in waiters] == ["for all"] * 20
    silent(raw)


def test_state_before_the_end_only_reaches_on_message(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    heard: list[str] = []
    result = client.AsyncResult(task_id)
    thread = threading.Thread(
        target=lambda: result.get(timeout=10, on_message=lambda meta: heard.append(meta["status"]))
    )
    thread.start()
    listening(raw, task_id)
    client.backend.store_result(task_id, {"done": 1}, "PROGRESS")
    client.backend.store_result(task_id, {"done": 2}, "PROGRESS")
    time.sleep(0.2)
    assert thread.is_alive()
    client.backend.store_result(task_id, 3, states.SUCCESS)
    thread.join(5)
    assert heard[-1] == "SUCCESS"
    assert "PROGRESS" in heard


def test_timeout_is_kept_and_leaves_no_channel(client: Celery, raw: redis.Redis):
    result = client.AsyncResult(uuid.uuid4().hex)
    began = time.monotonic()
    with pytest.raises(CeleryTimeoutError):
        result.get(timeout=0.3)
    assert time.monotonic() - began >= 0.25
    result.forget()
    silent(raw)


def test_task_without_a_waiter_leaves_no_channel(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    result = send(client, task_id)
    listening(raw, task_id)
    del result
    silent(raw)
    assert raw.pubsub_numsub(layout.channel(task_id))[0][1] == 0


def test_forgotten_result_leaves_no_record_or_channel(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    result = send(client, task_id)
    client.backend.store_result(task_id, "v" * 500, states.SUCCESS)
    assert client.backend.task_result_exists(task_id)
    result.forget()
    silent(raw)
    assert raw.keys() == [f"rs:{{{task_id}}}".encode()], "its tombstone alone"
    assert 0 < raw.pttl(f"rs:{{{task_id}}}") <= 3_600_000
    assert not client.backend.task_result_exists(task_id)


def test_unreadable_announcement_stops_no_waiter(client: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    waiter = Waiter(client, task_id)
    listening(raw, task_id)
    newer = msgspec.msgpack.encode([task_id, "SUCCESS", None, 0, b"\x92\x7fnewer"])
    raw.publish(layout.channel(task_id), newer)
    client.backend.store_result(task_id, "whole", states.SUCCESS)
    assert waiter.within(LOST_S) == "whole"
