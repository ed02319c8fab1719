"""Private Redis servers: to be stopped, filled up and measured without harm to anybody."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis


class PrivateRedis:
    """A redis-server of its own port, without persistence, that can be stopped and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(folder)]
        self._command += [
            "--save",
            "",
            "--appendonly",
            "no",
            "--logfile",
            "redis.log",
            "--unixsocket",
            str(folder / "redis.sock"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self._process = subprocess.Popen(self._command)
        end = time.monotonic() + 10
        with redis.Redis(port=self.port) as client:
            while True:
                try:
                    client.ping()
                except redis.AuthenticationError:  # it wants a password: it answers
                    return
                except redis.ConnectionError:
                    assert time.monotonic() < end, f"redis-server does not answer on port {self.port}"
                    time.sleep(0.02)
                else:
                    return

    def stop(self) -> None:
        """Returns when it is gone; what it held is lost."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@pytest.fixture
def private_redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    """A running one."""
    yield from _running(PrivateRedis(tmp_path))


@pytest.fixture
def guarded_redis(tmp_path: Path) -> Iterator[PrivateRedis]:
    """A running one with the password `Secr3t`."""
    yield from _running(PrivateRedis(tmp_path, "--requirepass", "Secr3t"))


def _running(server: PrivateRedis) -> Iterator[PrivateRedis]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
