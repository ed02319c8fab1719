"""StoreClock: the first measurement waits, later ones run on a thread."""

import socket
import threading
import time
from contextlib import suppress
from email.utils import formatdate

import pytest

from resultstore.blobs.obstore.retry import Retries
from resultstore.blobs.s3 import clock
from resultstore.blobs.s3.clock import StoreClock
from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import BlobStoreUnavailable


class Store(threading.Thread):
    """Answers with a time `ahead_s` in the future; while `hangs` it accepts connections and never answers."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ahead_s, self.asked, self.hangs = 0, 0, False
        self.answers = threading.Event()  # ends the hanging

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            self.asked += 1
            with connection, suppress(OSError):  # the client may have left
                if self.hangs:
                    self.answers.wait(30)
                else:
                    connection.recv(4096)
                    date = formatdate(time.time() + self.ahead_s, usegmt=True)
                    connection.sendall(f"HTTP/1.1 403 No\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.fixture
def store():
    one = Store()
    one.start()
    return one


@pytest.fixture
def told(store):
    return clock_of(store.listener.getsockname()[1])


def clock_of(port):
    target = S3Target(bucket="b", endpoint_url=f"http://127.0.0.1:{port}")
    return StoreClock(target, timeout_s=2, retries=Retries(tries=1))


def until(condition):
    ends = time.monotonic() + 5
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
    assert condition()


def test_the_first_waits_and_the_next_ask_nobody(store, told):
    store.ahead_s = 100

    assert [told.now() - time.time() for _ in range(50)] == pytest.approx([100] * 50, abs=1)
    assert store.asked == 1


def test_later_measurements_do_not_block_callers(store, told, monkeypatch):
    told.now()
    monkeypatch.setattr(clock, "_KEPT_S", 0.0)
    monkeypatch.setattr(clock, "_AGAIN_S", 0.1)
    store.ahead_s, store.hangs = 50, True

    assert told.now() - time.time() == pytest.approx(0, abs=1)  # the caller did not wait: no answer has come yet
    until(lambda: store.asked == 2)
    assert not store.answers.is_set()

    store.hangs = False
    store.answers.set()
    until(lambda: told.now() - time.time() > 48)


def test_unreachable_store_has_no_time():
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]

    with pytest.raises(BlobStoreUnavailable):
        clock_of(port).now()


def test_last_measurement_outlives_the_store(told, store, monkeypatch):
    told.now()
    monkeypatch.setattr(clock, "_KEPT_S", 0.0)
    store.hangs = True

    assert [told.now() - time.time() for _ in range(20)] == pytest.approx([0] * 20, abs=1)
    assert store.asked <= 2
