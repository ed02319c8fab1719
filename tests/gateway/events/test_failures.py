"""Failures of the event stream: slow clients, an outage of Redis, a stopping gateway."""

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
    """Serve a gateway over a Redis that the test can stop."""
    redis_server.start()
    yield from serving(RedisIndex(redis_server.url))


def test_changes_during_feed_interruption_are_sent_later(fragile, owner):
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


def test_emptied_redis_causes_reset_and_snapshot(fragile, redis_server, owner):
    reader = fragile.reader(owner)
    fragile.store.save(Result(id="one", owner=owner))
    reader.took(2)

    redis_server.stop()
    redis_server.start()
    reader.until(lambda one: len(one.events) >= 4)
    fragile.store.save(Result(id="two", owner=owner))

    assert reader.took(5)[2:] == [("reset", {}), ("snapshot", []), ("result", ("two", "PENDING"))]


def test_stream_without_redis_answers_503_with_retry_after(fragile, redis_server, owner):
    redis_server.stop()
    answer = httpx.get(f"{fragile.url}/v1/events", headers={"Authorization": f"Bearer {owner}"}, timeout=30)
    assert answer.status_code == 503
    assert answer.json()["slug"] == "unavailable"
    assert "retry-after" in answer.headers
    assert fragile.hub.viewers == 0


def test_slow_client_is_disconnected_without_affecting_others(watched, owner):
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
    """Open a stream that is never read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", int(watched.url.rpartition(":")[2])))
    connection.sendall(f"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {owner}\r\n\r\n".encode())
    assert connection.recv(10) == b"HTTP/1.1 2"
    return connection


def test_disconnected_client_is_removed(watched, owner, monkeypatch):
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


def test_burst_of_changes_ends_with_the_last(watched, owner):
    reader = watched.reader(owner)
    for n in range(1, 501):
        watched.store.save(Result(id="one", owner=owner, state=State.PROGRESS, progress=Progress(n, 500)))
    reader.until(lambda one: one.events and one.events[-1].data.get("progress", {}) == progress(500))
    assert not watched.hub.dropped_total


def progress(done: int) -> dict:
    return {"done": done, "total": 500, "percent": done / 5, "note": ""}


def test_stopping_gateway_ends_streams_cleanly(redis_url):
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

    assert process.wait(4) == 0  # less than DRAIN_S
    reader.until(lambda one: one.ended)
    assert reader.ended == "in order"
