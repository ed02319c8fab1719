"""Trouble: slow readers, a Redis that goes away, a gateway that stops."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from resultstore.gateway.events import hub
from resultstore.index.redis.driver import RedisIndex
from resultstore.model.result import Failure, Progress, Result, State
from tests.gateway.conftest import _bound
from tests.gateway.events.conftest import SOON_S, Reader, Watched, serving
from tests.index.redis.conftest import PrivateRedis


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory) -> Iterator[PrivateRedis]:
    server = PrivateRedis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def fragile(redis_server: PrivateRedis) -> Iterator[Watched]:
    """A gateway over a Redis that may be stopped."""
    redis_server.start()
    yield from serving(RedisIndex(redis_server.url))


def test_what_was_told_while_the_feed_was_cut_is_told_afterwards(fragile, owner):
    readers = [fragile.reader(owner) for _ in range(2)]
    fragile.store.save(Result(id="one", owner=owner))
    for reader in readers:
        reader.took(2)

    cut = fragile.store.index.client.client_kill_filter(_type="pubsub")
    for n in range(20):
        fragile.store.save(Result(id=f"n{n}", owner=owner))

    assert cut >= 1
    for reader in readers:
        told = reader.took(22)
        assert [one for _, (one, _) in told[2:]] == [f"n{n}" for n in range(20)]


def test_a_redis_that_comes_back_empty_is_told_by_a_reset_and_a_snapshot(fragile, redis_server, owner):
    reader = fragile.reader(owner)
    fragile.store.save(Result(id="one", owner=owner))
    reader.took(2)

    redis_server.stop()
    redis_server.start()
    reader.until(lambda one: len(one.events) >= 4)
    fragile.store.save(Result(id="two", owner=owner))

    assert reader.took(5)[2:] == [("reset", {}), ("snapshot", []), ("result", ("two", "PENDING"))]


def test_while_redis_is_away_a_stream_is_refused_with_the_time_to_come_back(fragile, redis_server, owner):
    redis_server.stop()
    answer = httpx.get(f"{fragile.url}/v1/events", headers={"Authorization": f"Bearer {owner}"}, timeout=30)
    assert answer.status_code == 503
    assert answer.json()["slug"] == "unavailable"
    assert "retry-after" in answer.headers
    assert fragile.hub.viewers == 0


def test_a_reader_who_does_not_read_is_let_go_and_the_others_hear_everything(watched, owner):
    reader, slow = watched.reader(owner), unread(watched, owner)
    failure = Failure("E", "x" * 100_000)

    for n in range(40):
        watched.store.save(Result(id=f"n{n}", owner=owner, state=State.FAILURE, failure=failure))
        reader.took(n + 2)

    end = time.monotonic() + SOON_S
    while not watched.hub.dropped_total:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert watched.hub.viewers == 1
    slow.close()


def unread(watched: Watched, owner: str) -> socket.socket:
    """A stream that is begun, and then never read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", int(watched.url.rpartition(":")[2])))
    connection.sendall(f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {owner}\r\n\r\n".encode())
    assert connection.recv(10) == b"HTTP/1.1 2"
    return connection


def test_a_reader_who_goes_away_is_forgotten(watched, owner, monkeypatch):
    monkeypatch.setattr(hub, "_TICK_S", 0.05)
    monkeypatch.setattr(hub, "_LINGER_S", 0.05)
    gone = unread(watched, owner)
    assert watched.hub.viewers == 1
    gone.close()
    end = time.monotonic() + SOON_S
    while watched.hub.viewers or watched.hub._audiences:
        assert time.monotonic() < end
        time.sleep(0.02)
    reader = watched.reader(owner)
    watched.store.save(Result(id="one", owner=owner))
    assert reader.took(2)[1] == ("result", ("one", "PENDING"))


def test_a_burst_is_told_by_its_last_word(watched, owner):
    reader = watched.reader(owner)
    for n in range(1, 501):
        watched.store.save(Result(id="one", owner=owner, state=State.PROGRESS, progress=Progress(n, 500)))
    reader.until(lambda one: one.events and one.events[-1].data.get("progress", {}) == progress(500))
    assert not watched.hub.dropped_total


def progress(done: int) -> dict:
    return {"done": done, "total": 500, "percent": done / 5, "note": ""}


def test_a_gateway_that_is_told_to_stop_ends_its_streams_in_order_and_at_once(redis_url):
    with _bound() as at:
        url = f"http://127.0.0.1:{at.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "resultstore.cli", "gateway", "--fd", str(at.fileno())],
            env=os.environ | {"RESULTSTORE_INDEX_URL": redis_url, "RESULTSTORE_SECRET_KEY": "k" * 32},
            pass_fds=[at.fileno()],
            stderr=subprocess.DEVNULL,
        )
        reader = Reader(url, {})
        reader.until(lambda one: one.events, 30)

    process.send_signal(signal.SIGTERM)

    assert process.wait(4) == 0  # the grace for requests is 5 s
    reader.until(lambda one: one.ended)
    assert reader.ended == "in order"
