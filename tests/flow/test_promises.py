"""Guarantees of the README that need a whole store on real servers."""

import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
import redis

from resultstore import Settings, State, Store, connect
from resultstore.model.result import Result
from resultstore.store import waiting

MIB = 1 << 20


def test_every_sealed_result_survives_the_loss_of_redis(store: Store, settings: Settings):
    # given
    made = [store.put(b"content %d" % number, name=f"n{number}") for number in range(20)]

    # when
    redis.Redis.from_url(settings.index.url).flushdb()

    # then
    fresh = connect(settings)
    for number, artifact in enumerate(made):
        found = fresh.load(artifact.id)
        assert found.state == State.SUCCESS
        assert fresh.open(found.artifacts[0]).read() == b"content %d" % number
        assert fresh.index.load(artifact.id) is not None, "the record was put back"


def test_an_announcement_alone_wakes_a_waiter(store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(waiting, "RECHECK_S", 3_600.0)
    for number in range(20):

        def finish(id: str = f"wake-{number}") -> None:
            connect(settings).save(Result(id=id, state=State.SUCCESS, value=b"1"))

        threading.Timer(0.05, finish).start()

        assert store.wait(f"wake-{number}", timeout_s=30).value == b"1"


def test_store_works_on_both_sides_of_fork(store: Store):
    before = store.put(b"before the fork")
    pid = os.fork()
    if pid == 0:
        try:
            inside = store.put(b"in the child", id="in-the-child")
            held = store.open(before).read() == b"before the fork" and store.open(inside).read() == b"in the child"
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
            traceback.print_exc()
            held = False
        os._exit(0 if held else 1)

    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.open(store.load("in-the-child").artifacts[0]).read() == b"in the child"
    assert store.open(store.put(b"after")).read() == b"after"


def test_threads_share_a_store(store: Store):
    made: dict[int, bool] = {}

    def work(number: int) -> None:
        content = os.urandom(3 * MIB)
        made[number] = store.open(store.put(content)).read() == content

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert made == dict.fromkeys(range(8), True)


MEASURE = """
import os, sys
from pathlib import Path
from resultstore import Settings, connect

def field(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024

def chunks(n):
    block = os.urandom(1 << 20)
    for number in range(n):
        yield block[:-4] + number.to_bytes(4, "big")

store = connect(Settings())
store.put(b"warm")
Path("/proc/self/clear_refs").write_text("5")
base = field("VmRSS")
artifact = store.put(chunks(512))
up = field("VmHWM") - base
Path("/proc/self/clear_refs").write_text("5")
base = field("VmRSS")
with store.open(artifact) as content:
    size = 0
    while piece := content.read(1 << 20):
        size += len(piece)
assert size == 512 << 20
print(up, field("VmHWM") - base)
"""


def test_memory_stays_bounded_whatever_the_size(settings: Settings):
    environment = {
        **os.environ,
        "RESULTSTORE_INDEX_URL": "memory://",
        "RESULTSTORE_BLOBS_URL": settings.blobs.url,
        "RESULTSTORE_S3_ENDPOINT": settings.s3.endpoint,
    }

    done = subprocess.run(
        [sys.executable, "-c", MEASURE], env=environment, capture_output=True, text=True, timeout=100, check=False
    )

    assert done.returncode == 0, done.stderr
    up_mib, down_mib = map(float, done.stdout.split())
    assert up_mib <= 64
    assert down_mib <= 64


def test_failed_producer_leaves_no_thread_and_no_upload(store: Store, settings: Settings):
    def failing():
        for _ in range(30):
            yield os.urandom(MIB)
        raise ZeroDivisionError

    store.put(b"warm")
    native = len(list(Path("/proc/self/task").iterdir()))
    before = set(threading.enumerate())
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            store.put(failing())

    assert set(threading.enumerate()) <= before, "a thread of another test may end in between"
    deadline = time.monotonic() + 10
    while len(list(Path("/proc/self/task").iterdir())) > native + 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(list(Path("/proc/self/task").iterdir())) <= native + 2
    assert [stored for stored in store.blobs.list("blobs/") if stored.size_bytes > 4] == []
