"""Slow clients: time and size limits of a request, and connections per address."""

import os
import socket
import subprocess
import sys
import threading
import time
from functools import partial

import httpx
import pytest
from starlette.responses import PlainTextResponse

from resultstore.gateway.middleware import slow_clients
from resultstore.gateway.middleware.connection_limit import ConnectionLimit
from resultstore.gateway.middleware.slow_clients import SlowClientProtocol
from tests.gateway.test_own_server import plainly_served

GENEROUS_S = 60.0


@pytest.fixture
def address(running):
    with socket.create_server(("127.0.0.1", 0)) as listener, running((PlainTextResponse("here"), listener)):
        yield listener.getsockname()


def closed_after_s(connection):
    began = time.monotonic()
    connection.settimeout(5)
    try:
        while connection.recv(4096):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - began


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"], ids=["nothing", "half a head"])
def test_slow_request_head_closes_the_connection(address, monkeypatch, begun):
    monkeypatch.setattr(slow_clients, "HEAD_LIMIT_S", 0.2)
    with socket.create_connection(address) as connection:
        connection.sendall(begun)

        assert closed_after_s(connection) < 3


def test_a_drop_now_and_then_buys_no_time(address, monkeypatch):
    monkeypatch.setattr(slow_clients, "HEAD_LIMIT_S", 0.3)
    with socket.create_connection(address) as connection, pytest.raises(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\n")
        for number in range(100):
            connection.sendall(b"X-%d: y\r\n" % number)
            time.sleep(0.05)


def test_a_head_without_end_ends_the_connection(address):
    with socket.create_connection(address) as connection, pytest.raises(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(1_000):
            connection.sendall(b"X-Long: " + b"y" * 8_000 + b"\r\n")


def test_timely_requests_are_answered_on_keep_alive(address, monkeypatch):
    monkeypatch.setattr(slow_clients, "HEAD_LIMIT_S", 0.5)
    with socket.create_connection(address) as connection:
        connection.settimeout(5)
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            said = b""
            while not said.endswith(b"here"):
                said += connection.recv(4096)
            assert said.startswith(b"HTTP/1.1 200")
            time.sleep(0.25)


@pytest.fixture
def short(monkeypatch):
    """Set short limits."""
    for name in ("HEAD_LIMIT_S", "IDLE_LIMIT_S", "BODY_LIMIT_S", "ANSWERED_LIMIT_S"):
        monkeypatch.setattr(slow_clients, name, 0.3)


def dripped_until_closed(address, begun, drop):
    """Return True if the server closes a connection that sends a byte now and then."""
    end = time.monotonic() + GENEROUS_S
    with socket.create_connection(address) as connection:
        connection.sendall(begun)
        connection.settimeout(0.05)
        while time.monotonic() < end:
            try:
                connection.sendall(drop)
                if not connection.recv(4096):
                    return True
            except TimeoutError:
                continue
            except ConnectionError:
                return True
    return False


SLOW = {
    "GET with a body": (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "HEAD with a body": (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "POST": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "chunk extension": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"y"),
    "trailers": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"T: y\r\n"),
    "chunks": (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "lines between requests": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_slow_request_is_ended(address, short, kind):
    assert dripped_until_closed(address, *SLOW[kind])


def test_an_answered_request_is_ended_soon(address, monkeypatch):
    # given a body that may take an hour while the application reads it
    monkeypatch.setattr(slow_clients, "BODY_LIMIT_S", 3600.0)
    monkeypatch.setattr(slow_clients, "ANSWERED_LIMIT_S", 0.3)

    assert dripped_until_closed(address, *SLOW["GET with a body"])


async def reading(scope, receive, send):
    """Answer after the whole body, with its headers and its length."""
    size = 0
    while (message := await receive())["type"] == "http.request":
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    names = b",".join(name for name, _ in scope["headers"])
    await PlainTextResponse(b"%d %s" % (size, names))(scope, receive, send)


@pytest.mark.parametrize("kind", ["POST", "chunk extension", "trailers"])
def test_slow_body_is_cut_while_being_read(running, short, kind):
    with socket.create_server(("127.0.0.1", 0)) as listener, running((reading, listener)):
        assert dripped_until_closed(listener.getsockname(), *SLOW[kind])


@pytest.mark.parametrize("begun", [b"1;" + b"y" * 400_000, b"0\r\n" + b"T: yyyyyyyy\r\n" * 40_000])
def test_framing_without_end_is_ended(running, begun):
    with socket.create_server(("127.0.0.1", 0)) as listener, running((reading, listener)):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        with socket.create_connection(listener.getsockname(), GENEROUS_S) as connection, pytest.raises(ConnectionError):
            for _ in range(100):
                connection.sendall(head + begun)
                head = b""
            raise ConnectionError(connection.recv(4096) or "closed in order")


def test_trailers_are_no_headers(running):
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        running((reading, listener)),
        socket.create_connection(listener.getsockname(), GENEROUS_S) as connection,
    ):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        connection.sendall(head + b"3\r\nabc\r\n0\r\nAuthorization: x\r\n\r\n")
        said = connection.makefile("rb").read()

    assert said.endswith(b"3 host,transfer-encoding,connection")


def test_a_steady_body_may_take_its_time(running, monkeypatch):
    # given a limit that has passed long before the body is whole
    monkeypatch.setattr(slow_clients, "BODY_LIMIT_S", 0.2)
    monkeypatch.setattr(slow_clients, "BODY_MIN_BYTES_PER_S", 10)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        running((reading, listener)),
        socket.create_connection(listener.getsockname(), GENEROUS_S) as connection,
    ):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"
        for _ in range(10):
            connection.sendall(head + b"x" * 500)
            head = b""
            time.sleep(0.1)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def limited(per_address, total):
    return partial(SlowClientProtocol, connections=ConnectionLimit(per_address=per_address, total=total))


def opened(port, source):
    connection = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
    connection.settimeout(GENEROUS_S)
    return connection


def is_served(connection):
    try:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return connection.recv(4096).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def test_one_address_has_so_many_connections():
    with plainly_served(PlainTextResponse("here"), http=limited(3, 100), lifespan="off") as url:
        port = int(url.rpartition(":")[2])
        many = [opened(port, "127.0.0.1") for _ in range(4)]
        served = [is_served(one) for one in many]
        other = opened(port, "127.0.0.2")

        assert sorted(served) == [False, True, True, True]
        assert is_served(other)
        # a closed connection frees its slot
        many[served.index(True)].close()
        end = time.monotonic() + GENEROUS_S
        while not is_served(again := opened(port, "127.0.0.1")):
            assert time.monotonic() < end
            time.sleep(0.02)
        for one in (*many, other, again):
            one.close()


def test_all_addresses_have_so_many_connections():
    with plainly_served(PlainTextResponse("here"), http=limited(2, 3), lifespan="off") as url:
        port = int(url.rpartition(":")[2])
        many = [opened(port, f"127.0.0.{number}") for number in (1, 2, 3, 4)]

        assert sorted(is_served(one) for one in many) == [False, True, True, True]
        for one in many:
            one.close()


def test_an_ipv6_network_counts_as_one_address():
    counted = ConnectionLimit(per_address=2, total=100)

    taken = [counted.take(f"2001:db8:0:1::{number}") for number in (1, 2, 3)]

    assert taken == [True, True, False]
    assert counted.take("2001:db8:0:2::1")
    assert [counted.take(one) for one in ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1")] == [True, True, False]


def test_slow_connections_of_one_address_block_no_other(redis_url):
    # given a gateway with 256 descriptors
    with socket.create_server(("127.0.0.1", 0), backlog=512) as at, socket.create_server(("127.0.0.1", 0)) as by_bytes:
        fds = [at.fileno(), by_bytes.fileno()]
        gateway = [sys.executable, "-m", "resultstore.cli", "gateway", *(f"--fd={one}" for one in fds)]
        process = subprocess.Popen(
            ["bash", "-c", 'ulimit -n 256; exec "$@"', "bash", *gateway],
            env=os.environ | {"RESULTSTORE_INDEX_URL": redis_url, "RESULTSTORE_SECRET_KEY": "k" * 32},
            pass_fds=fds,
            stderr=subprocess.DEVNULL,
        )
        port = at.getsockname()[1]
    url, over, lines = f"http://127.0.0.1:{port}", threading.Event(), []

    def drip() -> None:
        head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        while not over.wait(0.2):
            for number in range(300):
                try:
                    if number >= len(lines):
                        lines.append(opened(port, "127.0.0.2"))
                        lines[number].sendall(head)
                    lines[number].sendall(b"x")
                except OSError:
                    lines[number].close()
                    lines[number] = opened(port, "127.0.0.2")

    dripping = threading.Thread(target=drip)
    try:
        assert httpx.get(f"{url}/livez", timeout=GENEROUS_S).status_code == 200
        dripping.start()
        end = time.monotonic() + GENEROUS_S
        while len(lines) < 300:
            assert time.monotonic() < end
            time.sleep(0.05)
        answers = [httpx.get(f"{url}{path}", timeout=GENEROUS_S) for path in ("/livez", "/v1/session", "/v1/results")]
        assert [one.status_code for one in answers] == [200, 200, 200]
    finally:
        over.set()
        dripping.join(GENEROUS_S)
        process.terminate()
        process.wait(GENEROUS_S)
        for one in lines:
            one.close()
