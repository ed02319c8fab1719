"""Local: Redis, RabbitMQ and MinIO as processes of this machine, on loopback, with ports found free."""

import os
import secrets
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from _access import Access, Failed
from _tethered import POLL_S, Tethered

LOOPBACK = "127.0.0.1"
DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
START_TIMEOUT_S = 90.0
TRIES = 3
USER = "resultstore"


@dataclass(frozen=True)
class Programs:
    """The three servers' executables, and Erlang's port mapper."""

    redis: Path
    rabbitmq: Path
    epmd: Path
    minio: Path


@dataclass(frozen=True)
class Room:
    """What a server needs to start: its folder, the processes it joins, and its password."""

    folder: Path
    processes: Tethered
    password: str


@dataclass(frozen=True)
class Server:
    """A server that was started: its address, its process, and how to tell that it answers."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path
    answers: Callable[[], bool]


def start_all(folder: Path, processes: Tethered, programs: Programs) -> Access:
    """Start the three servers with their data below `folder`; return when all of them answer."""
    rooms = {name: _room(folder / name, processes) for name in ("redis", "rabbitmq", "minio")}
    starts: list[Callable[[], Server]] = [
        lambda: start_redis(rooms["redis"], programs.redis),
        lambda: start_rabbitmq(rooms["rabbitmq"], programs.rabbitmq, epmd=programs.epmd),
        lambda: start_minio(rooms["minio"], programs.minio),
    ]
    started = [(start, start()) for start in starts]
    redis, rabbitmq, minio = [_answering(start, server) for start, server in started]
    return Access(redis.address, rabbitmq.address, minio.address, USER, rooms["minio"].password)


def start_redis(room: Room, program: Path) -> Server:
    """Redis with the settings of deploy/redis.conf, a password and a port of its own."""
    [port] = free_ports(1)
    own = room.folder / "own.conf"
    lines = f"include {DEPLOY}/redis.conf\nbind {LOOPBACK}\nport {port}\ndir {room.folder}\n"
    _write_secret(own, lines + f"requirepass {room.password}\n")
    log = room.folder / "log"
    process = _start(room, [program, own], log=log, env={})
    hello = f"AUTH {room.password}\r\nPING\r\n".encode()
    return Server(
        address=f"redis://:{room.password}@{LOOPBACK}:{port}/0",
        process=process,
        log=log,
        answers=lambda: b"+PONG" in _say(port, hello, enough=b"+PONG"),
    )


def start_rabbitmq(room: Room, program: Path, *, epmd: Path) -> Server:
    """RabbitMQ with the settings of deploy/, and a node name, cookie, port mapper and ports of its own."""
    port, dist_port, epmd_port, management_port = free_ports(4)
    own = room.folder / "conf.d" / "own.conf"
    own.parent.mkdir(exist_ok=True)
    _write_secret(
        own,
        f"listeners.tcp.1 = {LOOPBACK}:{port}\n"
        f"management.tcp.ip = {LOOPBACK}\nmanagement.tcp.port = {management_port}\n"
        f"default_user = {USER}\ndefault_pass = {room.password}\n",
    )
    env = {
        "HOME": str(room.folder),  # the cookie
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_NODENAME": f"{USER}@localhost",
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_CONF_ENV_FILE": str(room.folder / "no-env.conf"),  # not the system's
        "RABBITMQ_CONFIG_FILE": str(DEPLOY / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(own.parent / "*.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(room.folder / "no-advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(DEPLOY / "rabbitmq-plugins"),
        "RABBITMQ_MNESIA_BASE": str(room.folder / "data"),
        "RABBITMQ_LOG_BASE": str(room.folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
    }
    log = room.folder / "log"
    # In the foreground and ours: RabbitMQ would leave a daemon behind.
    _start(room, [epmd, "-address", LOOPBACK, "-port", str(epmd_port)], log=room.folder / "epmd.log", env=env)
    process = _start(room, [program], log=log, env=env)
    started = f"started TCP listener on {LOOPBACK}:{port}".encode()
    return Server(
        address=f"amqp://{USER}:{room.password}@{LOOPBACK}:{port}//",
        process=process,
        log=log,
        # The log too: another process's RabbitMQ might have taken the port.
        answers=lambda: (
            started in log.read_bytes() and _say(port, b"AMQP\x00\x00\x09\x01", enough=b"\x01")[:1] == b"\x01"
        ),
    )


def start_minio(room: Room, program: Path) -> Server:
    """MinIO with the settings of deploy/minio.env, on one folder."""
    [port] = free_ports(1)
    endpoint = f"http://{LOOPBACK}:{port}"
    env = dict(line.split("=", 1) for line in (DEPLOY / "minio.env").read_text().split() if "=" in line)
    env |= {"HOME": str(room.folder), "MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": room.password}
    log = room.folder / "log"
    argv = [program, "server", room.folder / "data", "--address", f"{LOOPBACK}:{port}"]
    process = _start(room, argv, log=log, env=env)
    return Server(
        address=endpoint,
        process=process,
        log=log,
        answers=lambda: endpoint.encode() in log.read_bytes() and _healthy(f"{endpoint}/minio/health/ready"),
    )


def free_ports(count: int) -> list[int]:
    """That many different ports that are free now; whoever uses them must expect to lose one."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in sockets]


def _room(folder: Path, processes: Tethered) -> Room:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = folder / "password"
    if not kept.exists():
        _write_secret(kept, secrets.token_hex(16))
    return Room(folder, processes, kept.read_text())


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _start(room: Room, argv: list[str | Path], *, log: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    with log.open("wb") as output:
        return room.processes.start([str(word) for word in argv], env=inherited | env, log=output, cwd=room.folder)


def _answering(start: Callable[[], Server], server: Server) -> Server:
    """The server once it answers, started anew when it ended first: another process may have taken its port."""
    until = time.monotonic() + START_TIMEOUT_S
    for last in (False,) * (TRIES - 1) + (True,):
        while server.process.poll() is None and time.monotonic() < until:
            if server.answers() and server.process.poll() is None:
                return server
            time.sleep(POLL_S)
        if last or time.monotonic() >= until:
            break
        server = start()
    tail = "\n".join(server.log.read_text(errors="replace").splitlines()[-20:])
    raise Failed(f"{server.log.parent.name} did not start; the end of {server.log}:\n{tail}")


def _say(port: int, words: bytes, *, enough: bytes) -> bytes:
    heard = b""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as line:
            line.sendall(words)
            while enough not in heard and (more := line.recv(4096)):
                heard += more
    except OSError:
        return b""
    return heard


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - always http and loopback
            return True
    except OSError:  # refused, or an answer that says "not yet"
        return False
