"""Redis, RabbitMQ and MinIO as processes of this machine, on free loopback ports."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from _access import USER, Access
from _child_processes import ChildProcesses
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

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"


@dataclass(frozen=True)
class Programs:
    """The three servers' executables, and Erlang's port mapper."""

    redis: Path
    rabbitmq: Path
    epmd: Path
    minio: Path


@dataclass(frozen=True)
class ServerFolder:
    """The folder of one server, its password, and the processes that it is started among."""

    folder: Path
    processes: ChildProcesses
    password: str

    def start(self, *argv: str | Path, log: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a program in the folder, with a minimal environment."""
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        with log.open("wb") as output:
            return self.processes.start(list(map(str, argv)), env=inherited | env, log=output, cwd=self.folder)


def start_all(folder: Path, processes: ChildProcesses, programs: Programs) -> Access:
    """Start the three servers with their data below `folder`; return when all of them answer."""
    folders = {name: server_folder(folder / name, processes) for name in ("redis", "rabbitmq", "minio")}
    starts: list[Callable[[], Server]] = [
        lambda: start_redis(folders["redis"], programs.redis),
        lambda: start_rabbitmq(folders["rabbitmq"], programs.rabbitmq, epmd=programs.epmd),
        lambda: start_minio(folders["minio"], programs.minio),
    ]
    started = [(start, start()) for start in starts]
    redis, rabbitmq, minio = (answering(start, server).addresses[0] for start, server in started)
    return Access(redis, rabbitmq, minio, USER, folders["minio"].password)


def server_folder(folder: Path, processes: ChildProcesses) -> ServerFolder:
    """Return a server's folder with its password; create them if they do not exist."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return ServerFolder(folder, processes, kept_password(folder / "password"))


def start_redis(server: ServerFolder, program: Path) -> Server:
    """Start Redis with the settings of deploy/redis.conf, its own password and port."""
    [port] = free_ports(1)
    own = server.folder / "own.conf"
    lines = f"include {DEPLOY}/redis.conf\nbind {LOOPBACK}\nport {port}\ndir {server.folder}\n"
    write_secret(own, lines + f"requirepass {server.password}\n")
    log = server.folder / "log"
    return Server(
        addresses=(f"redis://:{server.password}@{LOOPBACK}:{port}/0",),
        process=server.start(program, own, log=log, env={}),
        log=log,
        answers=lambda: redis_answers(port, server.password),
    )


def start_rabbitmq(server: ServerFolder, program: Path, *, epmd: Path) -> Server:
    """Start RabbitMQ with the settings of deploy/, its own node, cookie, port mapper and ports."""
    port, management_port, dist_port, epmd_port = free_ports(4)
    own = server.folder / "conf.d" / "own.conf"
    own.parent.mkdir(exist_ok=True)
    own.write_text(
        f"listeners.tcp.1 = {LOOPBACK}:{port}\n"
        f"management.tcp.ip = {LOOPBACK}\nmanagement.tcp.port = {management_port}\n"
        # The benchmarks' peers send values in messages, and need the limit that RabbitMQ 3 has by default.
        + (f"max_message_size = {limit}\n" if (limit := os.environ.get("RS_MAX_MESSAGE_BYTES")) else "")
    )
    env = _erlang_environment(server, dist_port=dist_port, epmd_port=epmd_port) | {
        "RABBITMQ_CONF_ENV_FILE": str(server.folder / "none"),  # not the system's
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(server.folder / "none"),
        "RABBITMQ_CONFIG_FILE": str(DEPLOY / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(own),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(DEPLOY / "rabbitmq-plugins"),
        "RABBITMQ_MNESIA_BASE": str(server.folder / "data"),
        "RABBITMQ_LOG_BASE": str(server.folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_DEFAULT_USER": USER,
        "RABBITMQ_DEFAULT_PASS": server.password,
    }
    # In the foreground and registered: RabbitMQ would start one as a daemon that outlives it.
    server.start(epmd, "-address", LOOPBACK, "-port", str(epmd_port), log=server.folder / "epmd.log", env=env)
    log = server.folder / "log"
    return Server(
        addresses=(f"amqp://{USER}:{server.password}@{LOOPBACK}:{port}//",),
        process=server.start(program, log=log, env=env),
        log=log,
        answers=lambda: amqp_answers(port, USER, server.password),
    )


def start_minio(server: ServerFolder, program: Path) -> Server:
    """Start MinIO with the settings of deploy/minio.env, on one folder."""
    [port] = free_ports(1)
    address = f"{LOOPBACK}:{port}"
    lines = (DEPLOY / "minio.env").read_text().splitlines()
    env = dict(line.split("=", 1) for line in lines if line and line[0] != "#") | {
        "HOME": str(server.folder),
        "MINIO_ROOT_USER": USER,
        "MINIO_ROOT_PASSWORD": server.password,
    }
    log = server.folder / "log"
    return Server(
        addresses=(f"http://{address}",),
        process=server.start(program, "server", server.folder / "data", "--address", address, log=log, env=env),
        log=log,
        # Its log too: what answers might be another process that has taken the port.
        answers=lambda: address.encode() in log.read_bytes() and http_answers(f"http://{address}/minio/health/ready"),
    )


def _erlang_environment(server: ServerFolder, *, dist_port: int, epmd_port: int) -> dict[str, str]:
    return {
        "HOME": str(server.folder),  # the cookie
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(epmd_port),
        "RABBITMQ_NODENAME": f"{USER}@localhost",
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
    }
