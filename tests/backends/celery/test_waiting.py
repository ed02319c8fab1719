"""Waiting: whoever waits for a Celery result wakes, whatever was lost and whoever wrote it (P6)."""

import threading
import time
import uuid

import pytest
import redis
from celery import Celery, chord, group, states
from celery.exceptions import ChordError, TaskRevokedError, TimeoutError as CeleryTimeoutError

from tests.backends.celery.waiters import Waiter, listening, silent, without_announcement
from tests.unit.index.conftest import PrivateRedis

HEALTHY_S = 0.05
LOST_S = 3.0


def test_a_waiter_wakes_within_50_ms_of_the_announcement(client_app: Celery, raw: redis.Redis):
    late_s = []
    for number in range(30):
        task_id = uuid.uuid4().hex
        waiter = Waiter(client_app, task_id)
        listening(raw, task_id)
        client_app.backend.store_result(task_id, number, states.SUCCESS)
        stored_at = time.monotonic()
        assert waiter.within(5) == number
        late_s.append(waiter.woke_at - stored_at)
    assert sorted(late_s)[-2] <= HEALTHY_S
    silent(raw)


def test_a_lost_announcement_costs_at_most_three_seconds(client_app: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    waiter = Waiter(client_app, task_id)
    listening(raw, task_id)
    time.sleep(0.1)  # behind the check after 50 ms
    without_announcement(raw, client_app, task_id, "silent")
    assert waiter.within(LOST_S) == "silent"
    silent(raw)


def test_a_lost_announcement_of_a_sent_task_is_found_after_50_ms(client_app: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    client_app.backend.on_task_call(None, task_id)
    without_announcement(raw, client_app, task_id, "silent")
    began = time.monotonic()
    assert client_app.AsyncResult(task_id).get(timeout=5) == "silent"
    assert time.monotonic() - began < 1


def test_what_is_there_already_needs_no_subscription(client_app: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    client_app.backend.store_result(task_id, 1, states.SUCCESS)
    raw.config_resetstat()
    assert client_app.AsyncResult(task_id).get(timeout=5) == 1
    assert "cmdstat_subscribe" not in raw.info("commandstats")


def test_an_announcement_is_fetched_only_where_somebody_waits_for_it(client_app: Celery, raw: redis.Redis):
    sent, waited = uuid.uuid4().hex, uuid.uuid4().hex
    client_app.backend.on_task_call(None, sent)
    waiter = Waiter(client_app, waited)
    listening(raw, waited)
    time.sleep(0.1)
    raw.config_resetstat()
    client_app.backend.store_result(sent, 1, states.SUCCESS)
    client_app.backend.store_result(waited, 2, states.SUCCESS)
    assert waiter.within(5) == 2
    assert raw.info("commandstats")["cmdstat_mget"]["calls"] == 1
    silent(raw)
    assert client_app.AsyncResult(sent).get(timeout=5) == 1


def test_a_connection_that_broke_is_restored_and_everything_checked(client_app: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    waiter = Waiter(client_app, task_id)
    listening(raw, task_id)
    raw.client_kill_filter(_type="pubsub")
    client_app.backend.store_result(task_id, "after", states.SUCCESS)
    assert waiter.within(LOST_S) == "after"


def test_redis_may_be_started_again_while_somebody_waits(client_app: Celery, own_redis: PrivateRedis, raw: redis.Redis):
    waiters = {task_id: Waiter(client_app, task_id) for task_id in (uuid.uuid4().hex, uuid.uuid4().hex)}
    for task_id in waiters:
        listening(raw, task_id)

    own_redis.stop()
    time.sleep(0.3)
    own_redis.start()
    for task_id in waiters:
        client_app.backend.store_result(task_id, task_id, states.SUCCESS)

    for task_id, waiter in waiters.items():
        assert waiter.within(LOST_S) == task_id
    silent(raw)


def test_a_result_is_stored_although_redis_is_away_for_a_while(client_app: Celery, own_redis: PrivateRedis):
    own_redis.stop()
    threading.Timer(4, own_redis.start).start()  # longer than the index itself tries
    task_id = uuid.uuid4().hex
    client_app.backend.store_result(task_id, "patient", states.SUCCESS)
    assert client_app.AsyncResult(task_id).get(timeout=5) == "patient"


def test_many_threads_wait_for_many_results_at_once(client_app: Celery, raw: redis.Redis):
    waiters = {task_id: Waiter(client_app, task_id) for task_id in (uuid.uuid4().hex for _ in range(60))}
    for task_id in waiters:
        listening(raw, task_id)
    for task_id in waiters:
        client_app.backend.store_result(task_id, task_id, states.SUCCESS)
    for task_id, waiter in waiters.items():
        assert waiter.within(LOST_S) == task_id
    silent(raw)


def test_many_threads_wait_for_one_result(client_app: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    waiters = [Waiter(client_app, task_id) for _ in range(20)]
    listening(raw, task_id)
    client_app.backend.store_result(task_id, "for all", states.SUCCESS)
    assert [waiter.within(LOST_S) for waiter in waiters] == ["for all"] * 20
    silent(raw)


def test_a_state_that_is_not_the_end_wakes_nobody_and_on_message_hears_it(client_app: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    heard: list[str] = []
    result = client_app.AsyncResult(task_id)
    thread = threading.Thread(
        target=lambda: result.get(timeout=10, on_message=lambda meta: heard.append(meta["status"]))
    )
    thread.start()
    listening(raw, task_id)
    client_app.backend.store_result(task_id, {"done": 1}, "PROGRESS")
    client_app.backend.store_result(task_id, {"done": 2}, "PROGRESS")
    time.sleep(0.2)
    assert thread.is_alive()
    client_app.backend.store_result(task_id, 3, states.SUCCESS)
    thread.join(5)
    assert heard[-1] == "SUCCESS"
    assert "PROGRESS" in heard


def test_a_timeout_is_kept_to_and_leaves_no_channel_behind(client_app: Celery, raw: redis.Redis):
    result = client_app.AsyncResult(uuid.uuid4().hex)
    began = time.monotonic()
    with pytest.raises(CeleryTimeoutError):
        result.get(timeout=0.3)
    assert 0.25 <= time.monotonic() - began < 0.6
    result.forget()
    silent(raw)


def test_a_task_that_nobody_waits_for_leaves_no_channel_behind(client_app: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    client_app.backend.on_task_call(None, task_id)
    listening(raw, task_id)
    result = client_app.AsyncResult(task_id)
    del result
    silent(raw)


def test_a_forgotten_result_is_gone_and_so_is_its_channel(client_app: Celery, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    client_app.backend.on_task_call(None, task_id)
    client_app.backend.store_result(task_id, "v" * 500, states.SUCCESS)
    result = client_app.AsyncResult(task_id)
    assert result.exists()
    result.forget()
    silent(raw)
    assert raw.keys() == []
    assert not client_app.AsyncResult(task_id).exists()


@pytest.mark.usefixtures("worker")
class TestWithAWorker:
    """Over RabbitMQ, with the worker of this folder."""

    def test_a_task_that_is_replaced_wakes_its_waiter(self, app: Celery):
        assert app.tasks["worker_app.replaced"].delay(2, 3).get(timeout=20) == 5

    def test_a_chord_whose_header_fails_wakes_its_waiter(self, app: Celery):
        tasks = app.tasks
        header = group(tasks["worker_app.add"].s(1, 1), tasks["worker_app.fails"].s("header"))
        result = chord(header)(tasks["worker_app.total"].s())
        with pytest.raises(ChordError, match="header"):
            result.get(timeout=20, propagate=True)

    def test_a_revoked_task_wakes_its_waiter(self, app: Celery):
        result = app.tasks["worker_app.add"].apply_async((1, 1), countdown=30)
        time.sleep(0.5)  # until the worker holds it
        result.revoke()
        with pytest.raises(TaskRevokedError):
            result.get(timeout=40)

    def test_a_state_that_a_task_writes_for_another_id_wakes_its_waiter(self, app: Celery):
        other = uuid.uuid4().hex
        app.tasks["worker_app.update_other"].delay(other).forget()
        assert app.AsyncResult(other).get(timeout=20) == "by another"
