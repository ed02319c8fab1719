"""Waiting: whoever waits for a Celery result wakes, whatever was lost and whoever wrote it (P6)."""

import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery, chord, group, states
from celery.exceptions import ChordError, TaskRevokedError, TimeoutError as CeleryTimeoutError

from resultstore.model import layout, record
from resultstore.model.result import Result, State
from tests.unit.index.conftest import PrivateRedis

HEALTHY_S = 0.05
LOST_S = 3.0


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def raw(own_redis: PrivateRedis) -> Iterator[redis.Redis]:
    with redis.Redis(port=own_redis.port) as client:
        yield client


@pytest.fixture
def client_app(own_redis: PrivateRedis) -> Celery:
    """An app that waits; nobody works for it: the tests write what a worker would."""
    return Celery("client", broker="memory://", backend=f"resultstore+{own_redis.url}")


class Waiter(threading.Thread):
    """Waits for an id, and knows when it woke with what."""

    def __init__(self, app: Celery, task_id: str, *, timeout_s: float = 20) -> None:
        super().__init__(daemon=True)
        self.woke_at = 0.0
        self.got: object = None
        self._result = app.AsyncResult(task_id)
        self._timeout_s = timeout_s
        self.start()

    def run(self) -> None:
        try:
            self.got = self._result.get(timeout=self._timeout_s)
        except Exception as error:  # noqa: BLE001 - it is what was got
            self.got = error
        self.woke_at = time.monotonic()

    def within(self, seconds: float) -> object:
        self.join(seconds)
        assert not self.is_alive(), f"still asleep after {seconds} s"
        return self.got


def listening(raw: redis.Redis, task_id: str) -> None:
    end = time.monotonic() + 5
    while not raw.pubsub_numsub(layout.channel(task_id))[0][1]:
        assert time.monotonic() < end
        time.sleep(0.005)


def silent(raw: redis.Redis) -> None:
    """No channel is left."""
    end = time.monotonic() + 5
    while raw.pubsub_channels():
        assert time.monotonic() < end, raw.pubsub_channels()
        time.sleep(0.01)


def without_announcement(raw: redis.Redis, app: Celery, task_id: str, value: object) -> None:
    main, _ = record.encode(Result(id=task_id, state=State.SUCCESS, value=app.backend.encoded(value)))
    raw.set(layout.record_key(task_id), main)


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


def test_a_waiter_in_another_process_wakes(client_app: Celery, own_redis: PrivateRedis, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    other = waiting_process(own_redis.url, task_id)
    listening(raw, task_id)
    client_app.backend.store_result(task_id, "for another", states.SUCCESS)
    assert other.communicate(timeout=10)[0].strip() == "for another"


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets_wait_side_by_side(own_redis: PrivateRedis, library: str):
    spawn = {
        "gevent": "import gevent; jobs = [gevent.spawn(wait, i) for i in ids]; store(); gevent.joinall(jobs)",
        "eventlet": "import eventlet; jobs = [eventlet.spawn(wait, i) for i in ids]; store(); [j.wait() for j in jobs]",
    }[library]
    patch = {
        "gevent": "from gevent import monkey; monkey.patch_all()",
        "eventlet": "import eventlet; eventlet.monkey_patch()",
    }
    program = f"""
        {patch[library]}
        import time, uuid
        from celery import Celery
        app = Celery("client", broker="memory://", backend="resultstore+{own_redis.url}")
        ids = [uuid.uuid4().hex for _ in range(20)]
        got, late = [], []
        def wait(task_id):
            got.append(app.AsyncResult(task_id).get(timeout=10))
            late.append(time.monotonic() - stored[task_id])
        stored = {{}}
        def store():
            time.sleep(0.3)
            for one in ids:
                stored[one] = time.monotonic()
                app.backend.store_result(one, one, "SUCCESS")
        {spawn}
        assert sorted(got) == sorted(ids)
        assert type(app.backend.result_consumer.drainer).__name__ == "{library}Drainer"
        print("late", max(late))
    """
    told = run(program)
    assert float(told.split()[-1]) < 1


def test_both_sides_of_a_plain_fork_wait(own_redis: PrivateRedis):
    """As gunicorn does with --preload: os.fork tells nobody."""
    told = run(f"""
        import os, threading, time, uuid
        from celery import Celery
        app = Celery("client", broker="memory://", backend="resultstore+{own_redis.url}")
        before, ids = uuid.uuid4().hex, [uuid.uuid4().hex for _ in range(2)]
        app.backend.on_task_call(None, before)
        app.backend.store_result(before, "before", "SUCCESS")
        assert app.AsyncResult(before).get(timeout=5) == "before"
        inherited = app.AsyncResult(ids[0])
        app.backend.add_pending_result(inherited)
        child = os.fork()
        mine = ids[0] if child == 0 else ids[1]
        threading.Timer(0.3, app.backend.store_result, (mine, mine, "SUCCESS")).start()
        result = inherited if child == 0 else app.AsyncResult(mine)
        began = time.monotonic()
        good = result.get(timeout=10) == mine and time.monotonic() - began < 2
        if child == 0:
            os._exit(0 if good else 1)
        assert good
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert told == "child 0"


def waiting_process(url: str, task_id: str) -> subprocess.Popen[str]:
    program = f"""
        from celery import Celery
        app = Celery("other", broker="memory://", backend="resultstore+{url}")
        print(app.AsyncResult("{task_id}").get(timeout=20))
    """
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


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
