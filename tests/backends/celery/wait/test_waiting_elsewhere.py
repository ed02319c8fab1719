"""Waiting elsewhere: in another process, on both sides of a fork, in greenlets (P6)."""

import json
import subprocess
import sys
import textwrap
import time
import uuid

import pytest
import redis
from celery import Celery, states

from tests.backends.celery.waiters import LOST_S, listening
from tests.index.redis.conftest import PrivateRedis

# Each prints when it woke for which id, one JSON object a line.
PROGRAM = """
{first}
import json, os, sys, time
from celery import Celery
import pytest
from tests.backends.celery.waiters import deafen, hear_announcements_only

app = Celery("other", broker="memory://", backend="resultstore+{url}")
ids, lost = {ids}, []
if {lost}:
    lost = deafen(pytest.MonkeyPatch())
else:
    hear_announcements_only(pytest.MonkeyPatch())

def wait(task_id):
    assert app.AsyncResult(task_id).get(timeout=20) == task_id
    return time.time()

def report(woke):
    assert bool(lost) == {lost}
    print(json.dumps(woke), flush=True)

"""
WAYS = {
    "another process": ("", "report({one: wait(one) for one in ids})"),
    # As gunicorn does with --preload: os.fork calls no hook, and the parent has waited before.
    "forked": (
        "",
        """
before = app.send_task("not.taken", task_id="before", queue="unused")
app.backend.store_result("before", "before", "SUCCESS")
wait("before")
lost.clear()
for number in range(2):
    if os.fork() == 0:
        report({one: wait(one) for one in ids[number::2]})
        os._exit(0)
for number in range(2):
    assert os.wait()[1] == 0
""",
    ),
    "gevent": (
        "from gevent import monkey; monkey.patch_all()",
        """
import gevent
jobs = {one: gevent.spawn(wait, one) for one in ids}
gevent.joinall(list(jobs.values()))
assert type(app.backend.result_consumer.drainer).__name__ == "geventDrainer"
report({one: job.value for one, job in jobs.items()})
""",
    ),
    "eventlet": (
        "import eventlet; eventlet.monkey_patch()",
        """
import eventlet
jobs = {one: eventlet.spawn(wait, one) for one in ids}
woke = {one: job.wait() for one, job in jobs.items()}
assert type(app.backend.result_consumer.drainer).__name__ == "eventletDrainer"
report(woke)
""",
    ),
}


def late_s(client: Celery, raw: redis.Redis, way: str, *, waiters: int, lost: bool) -> list[float]:
    """How long after the end of its result each of these waiters woke, in a process of its own."""
    ids = [uuid.uuid4().hex for _ in range(waiters)]
    first, rest = WAYS[way]
    url = client.backend.url
    other = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(first=first, url=url, ids=ids, lost=lost) + rest],
        stdout=subprocess.PIPE,
        text=True,
    )
    for one in ids:
        listening(raw, one, within_s=20)
        time.sleep(0.1)  # later than the check after 50 ms
        client.backend.store_result(one, one, states.SUCCESS)
    told = other.communicate(timeout=30)[0]
    assert other.returncode == 0
    woke = {one: at for line in told.splitlines() for one, at in json.loads(line).items()}
    assert woke.keys() == set(ids)
    return [at - client.backend.store.peek(one).ended_at for one, at in woke.items()]


@pytest.mark.parametrize("way", WAYS)
def test_an_announcement_alone_wakes_waiters_elsewhere(client: Celery, raw: redis.Redis, way: str):
    assert len(late_s(client, raw, way, waiters=12, lost=False)) == 12


@pytest.mark.parametrize("way", WAYS)
def test_other_waiters_wake_although_announcements_are_lost(client: Celery, raw: redis.Redis, way: str):
    assert max(late_s(client, raw, way, waiters=2, lost=True)) <= LOST_S


def test_both_sides_of_a_plain_fork_wait(server: PrivateRedis):
    """As gunicorn does with --preload: os.fork calls no hook."""
    told = run(f"""
        import os, threading, time, uuid
        from celery import Celery
        app = Celery("client", broker="memory://", backend="resultstore+{server.url}")
        before, ids = uuid.uuid4().hex, [uuid.uuid4().hex for _ in range(2)]
        result = app.send_task("not.taken", task_id=before, queue="unused")
        app.backend.store_result(before, "before", "SUCCESS")
        assert result.get(timeout=5) == "before"
        current_owner = app.AsyncResult(ids[0])
        app.backend.add_pending_result(current_owner)
        child = os.fork()
        mine = ids[0] if child == 0 else ids[1]
        threading.Timer(0.3, app.backend.store_result, (mine, mine, "SUCCESS")).start()
        result = current_owner if child == 0 else app.AsyncResult(mine)
        began = time.monotonic()
        good = result.get(timeout=10) == mine and time.monotonic() - began < 2
        if child == 0:
            os._exit(0 if good else 1)
        assert good
        print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert told == "child 0"


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]
