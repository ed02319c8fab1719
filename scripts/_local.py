"""Local: Redis, RabbitMQ and MinIO as processes of this machine, on loopback, with ports found free."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from _access import USER, Access
from _server import (
    LOOPBACK,
    Server,
    amqp_answers,
    answering,
    free_ports,
    http_answers,
    kept_password,
    redis_answers,
    write_secret,
)
from _tethered import Tethered

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"


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

    def start(self, *argv: str | Path, log: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a program in the folder, with little of our own environment."""
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        with log.open("wb") as output:
            return self.processes.start(list(map(str, argv)), env=inherited | env, log=output, cwd=self.folder)


def start_all(folder: Path, processes: Tethered, programs: Programs) -> Access:
    """Start the three servers with their data below `folder`; return when all of them answer."""
    rooms = {name: room(folder / name, processes) for name in ("redis", "rabbitmq", "minio")}
    starts: list[Callable[[], Server]] = [
        lambda: start_redis(rooms["redis"], programs.redis),
        lambda: start_rabbitmq(rooms["rabbitmq"], programs.rabbitmq, epmd=programs.epmd),
        lambda: start_minio(rooms["minio"], programs.minio),
    ]
    started = [(start, start()) for start in starts]
    redis, rabbitmq, minio = (answering(start, server).addresses[0] for start, server in started)
    return Access(redis, rabbitmq, minio, USER, rooms["minio"].password)


def room(folder: Path, processes: Tethered) -> Room:
    """A server's folder and password, made or found again."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Room(folder, processes, kept_password(folder / "password"))


def start_redis(room: Room, program: Path) -> Server:
    """Redis with the settings of deploy/redis.conf, a password and a port of its own."""
    [port] = free_ports(1)
    own = room.folder / "own.conf"
    lines = f"include {DEPLOY}/redis.conf\nbind {LOOPBACK}\nport {port}\ndir {room.folder}\n"
    write_secret(own, lines + f"requirepass {room.password}\n")
    log = room.folder / "log"
    return Server(
        addresses=(f"redis://:{room.password}@{LOOPBACK}:{port}/0",),
        process=room.start(program, own, log=log, env={}),
        log=log,
        answers=lambda: redis_answers(port, room.password),
    )


def start_rabbitmq(room: Room, program: Path, *, epmd: Path) -> Server:
    """RabbitMQ with the settings of deploy/, and a node, cookie, port mapper and ports of its own."""
    port, management_port, dist_port, epmd_port = free_ports(4)
    own = room.folder / "conf.d" / "own.conf"
    own.parent.mkdir(exist_ok=True)
    own.write_text(
        f"listeners.tcp.1 = {LOOPBACK}:{port}\n"
        f"management.tcp.ip = {LOOPBACK}\nmanagement.tcp.port = {management_port}\n"
        # The benchmarks' peers send values in messages, and need the limit that RabbitMQ 3 has by default.
        + (f"max_message_size = {limit}\n" if (limit := os.environ.get("RS_MAX_MESSAGE_BYTES")) else "")
    )
    env = _erlang_environment(room, dist_port=dist_port, epmd_port=epmd_port) | {
        "RABBITMQ_CONF_ENV_FILE": str(room.folder / "none"),  # not the system's
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(room.folder / "none"),
        "RABBITMQ_CONFIG_FILE": str(DEPLOY / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(own),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(DEPLOY / "rabbitmq-plugins"),
        "RABBITMQ_MNESIA_BASE": str(room.folder / "data"),
        "RABBITMQ_LOG_BASE": str(room.folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_DEFAULT_USER": USER,
        "RABBITMQ_DEFAULT_PASS": room.password,
    }
    # In the foreground and listed: by itself RabbitMQ would leave one behind as a daemon.
    room.start(epmd, "-address", LOOPBACK, "-port", str(epmd_port), log=room.folder / "epmd.log", env=env)
    log = room.folder / "log"
    return Server(
        addresses=(f"amqp://{USER}:{room.password}@{LOOPBACK}:{port}//",),
        process=room.start(program, log=log, env=env),
        log=log,
        answers=lambda: amqp_answers(port, USER, room.password),
    )


def start_minio(room: Room, program: Path) -> Server:
    """MinIO with the settings of deploy/minio.env, on one folder."""
    [port] = free_ports(1)
    address = f"{LOOPBACK}:{port}"
    lines = (DEPLOY / "minio.env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines if line and line[0] != "#") | {
        "HOME": str(room.folder),
        "MINIO_ROOT_USER": USER,
        "MINIO_ROOT_PASSWORD": room.password,
    }
    log = room.folder / "log"
    return Server(
        addresses=(f"http://{address}",),
        process=room.start(program, "server", room.folder / "data", "--address", address, log=log, env=env),
        log=log,
        # Its log too: what answers might be another process that has taken the port.
        answers=lambda: address.encode() in log.read_bytes() and http_answers(f"http://{address}/minio/health/ready"),
    )


def _erlang_environment(room: Room, *, dist_port: int, epmd_port: int) -> dict[str, str]:
    return {
        "HOME": str(room.folder),  # the cookie
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_NODENAME": f"{USER}@localhost",
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
    }
