"""A started server, and the check that it is the right one and answers."""

import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from _access import Failed
from _child_processes import POLL_S

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 90.0
TRIES = 3


@dataclass(frozen=True)
class Server:
    """A started process: its addresses (one process may be several servers), its log and its check."""

    addresses: tuple[str, ...]
    process: subprocess.Popen[bytes]
    log: Path
    answers: Callable[[], bool]


def answering(start: Callable[[], Server], server: Server, *, timeout_s: float = START_TIMEOUT_S) -> Server:
    """Return the server once it answers. Start it again if it ended first: another process may have taken its port."""
    until = time.monotonic() + timeout_s
    for tries_left in reversed(range(TRIES)):
        while server.process.poll() is None and time.monotonic() < until:
            if server.answers() and server.process.poll() is None:
                return server
            time.sleep(POLL_S)
        if not tries_left or time.monotonic() >= until:
            break
        server = start()
    tail = "\n".join(server.log.read_text(errors="replace").splitlines()[-20:])
    raise Failed(f"{server.log.parent.name} does not answer; the end of {server.log}:\n{tail}")


def free_ports(count: int) -> list[int]:
    """Return that many different free ports; another process may still take one."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]


def kept_password(path: Path) -> str:
    """Return the password in this file, created at the first call: kept data needs its old password."""
    if not path.exists():
        write_secret(path, secrets.token_hex(16))
    return path.read_text()


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)


def redis_answers(port: int, password: str) -> bool:
    """Return True if a Redis with this password answers."""
    hello = f"AUTH {password}\r\nPING\r\n".encode()
    return b"+PONG" in _say(port, hello, enough=b"+PONG")


def amqp_answers(port: int, user: str, password: str) -> bool:
    """Return True if an AMQP 0-9-1 server with this user answers (specification, section 2.2.4)."""
    login = b"\x00" + user.encode() + b"\x00" + password.encode()
    arguments = bytes(4) + b"\x05PLAIN" + len(login).to_bytes(4) + login + b"\x05en_US"
    start_ok = b"\x00\x0a\x00\x0b" + arguments
    frame = b"\x01\x00\x00" + len(start_ok).to_bytes(4) + start_ok + b"\xce"
    tune = b"\x00\x0a\x00\x1e"  # what a server says only to a user it knows
    return tune in _say(port, b"AMQP\x00\x00\x09\x01" + frame, enough=tune)


def http_answers(url: str) -> bool:
    """Return True if a GET succeeds."""
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - always http and loopback
            return True
    except OSError:  # refused, or an answer that says "not yet"
        return False


def _say(port: int, words: bytes, *, enough: bytes) -> bytes:
    received = b""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as line:
            line.sendall(words)
            while enough not in received and (more := line.recv(4096)):
                received += more
    except OSError:
        return b""
    return received
