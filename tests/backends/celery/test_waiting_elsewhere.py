"""Waiting elsewhere: in another process, on both sides of a fork, in greenlets."""

import subprocess
import sys
import textwrap
import uuid

import pytest
import redis
from celery import Celery, states

from tests.backends.celery.test_waiting import listening
from tests.unit.index.conftest import PrivateRedis


def test_a_waiter_in_another_process_wakes(client: Celery, server: PrivateRedis, raw: redis.Redis):
    task_id = uuid.uuid4().hex
    other = waiting_process(server.url, task_id)
    listening(raw, task_id)
    client.backend.store_result(task_id, "for another", states.SUCCESS)
    assert other.communicate(timeout=10)[0].strip() == "for another"


@pytest.mark.parametrize("library", ["gevent", "eventlet"])
def test_greenlets_wait_side_by_side(server: PrivateRedis, library: str):
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
        app = Celery("client", broker="memory://", backend="resultstore+{server.url}")
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


def test_both_sides_of_a_plain_fork_wait(server: PrivateRedis):
    """As gunicorn does with --preload: os.fork tells nobody."""
    told = run(f"""
        import os, threading, time, uuid
        from celery import Celery
        app = Celery("client", broker="memory://", backend="resultstore+{server.url}")
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
