"""Patience: a sender who never ends his head is not waited for."""

import socket
import time

import pytest
from starlette.responses import PlainTextResponse

from resultstore.gateway.front import patience


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
def test_a_head_that_does_not_end_in_time_ends_the_connection(address, monkeypatch, begun):
    monkeypatch.setattr(patience, "HEAD_LIMIT_S", 0.2)
    with socket.create_connection(address) as connection:
        connection.sendall(begun)

        assert closed_after_s(connection) < 3


def test_a_drop_now_and_then_buys_no_time(address, monkeypatch):
    monkeypatch.setattr(patience, "HEAD_LIMIT_S", 0.3)
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


def test_whoever_speaks_in_time_is_heard_on_a_kept_connection_too(address, monkeypatch):
    monkeypatch.setattr(patience, "HEAD_LIMIT_S", 0.5)
    with socket.create_connection(address) as connection:
        connection.settimeout(5)
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            said = b""
            while not said.endswith(b"here"):
                said += connection.recv(4096)
            assert said.startswith(b"HTTP/1.1 200")
            time.sleep(0.25)
