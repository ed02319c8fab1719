"""Redis, RabbitMQ and MinIO of docker-compose.yml, by the Docker engine of this machine."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from _access import USER, Access
from _child_processes import ChildProcesses
from _server import LOOPBACK, Server, amqp_answers, answering, free_ports, http_answers, kept_password, redis_answers

ROOT = Path(__file__).resolve().parent.parent
FILES = ("docker-compose.yml", "deploy/compose.services.yml")
SERVERS = ("redis", "rabbitmq", "minio")
ROLES = ("GATEWAY", "WORKER", "READER", "UPLOADER")
OF_OTHERS = (
    *("GATEWAY_TOKEN", "RESULTSTORE_SECRET_KEY"),
    *(f"{role}_STORE_{kind}_KEY" for role in ROLES for kind in ("ACCESS", "SECRET")),
)
ENGINE_TIMEOUT_S = 3.0
PULL_TIMEOUT_S = 600.0
# In the foreground: the signal that ends `up` ends the servers, and then what remains of them is cleared away.
UP_THEN_DOWN = (
    "trap : TERM INT HUP; docker compose up --abort-on-container-exit {servers}; docker compose down {options}"
)


def engine_answers() -> bool:
    """Return True if `docker compose` can be used here; takes at most a few seconds."""
    return bool(shutil.which("docker")) and all(_succeeds(*words) for words in (["info"], ["compose", "version"]))


def start_all(folder: Path, processes: ChildProcesses, *, keep: bool) -> Access:
    """Start the three servers; return when all of them answer. Their volumes go with them unless `keep`."""
    passwords = {name: kept_password(folder / f"{name}.password") for name in SERVERS}

    def start() -> Server:
        return _start(folder, processes, passwords, keep=keep)

    server = answering(start, start(), timeout_s=PULL_TIMEOUT_S)
    redis, rabbitmq, minio = server.addresses
    return Access(redis, rabbitmq, minio, USER, passwords["minio"])


def variables(folder: Path, passwords: dict[str, str], ports: dict[str, int]) -> dict[str, str]:
    """Return the variables of docker-compose.yml. The project is named after the folder: checkouts do not collide."""
    return {
        "COMPOSE_PROJECT_NAME": f"resultstore-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}",
        "COMPOSE_FILE": os.pathsep.join(str(ROOT / name) for name in FILES),
        "COMPOSE_PROFILES": "minio",
        "PUBLISH_ON": LOOPBACK,
        "REDIS_PORT": str(ports["redis"]),
        "RABBITMQ_PORT": str(ports["rabbitmq"]),
        "RABBITMQ_MANAGEMENT_PORT": str(ports["management"]),
        "STORE_PORT": str(ports["minio"]),
        "REDIS_PASSWORD": passwords["redis"],
        "RABBITMQ_USER": USER,
        "RABBITMQ_PASSWORD": passwords["rabbitmq"],
        "STORE_ACCESS_KEY": USER,
        "STORE_SECRET_KEY": passwords["minio"],
        **dict.fromkeys(OF_OTHERS, "asked for, and of no use to these three"),
    }


def _start(folder: Path, processes: ChildProcesses, passwords: dict[str, str], *, keep: bool) -> Server:
    names = ("redis", "rabbitmq", "minio", "management")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    script = UP_THEN_DOWN.format(servers=" ".join(SERVERS), options="" if keep else "--volumes")
    env = os.environ | variables(folder, passwords, ports)
    log = folder / "compose.log"
    with log.open("wb") as output:
        process = processes.start(["sh", "-c", script], env=env, log=output, cwd=ROOT)
    store = f"http://{LOOPBACK}:{ports['minio']}"
    return Server(
        addresses=(
            f"redis://:{passwords['redis']}@{LOOPBACK}:{ports['redis']}/0",
            f"amqp://{USER}:{passwords['rabbitmq']}@{LOOPBACK}:{ports['rabbitmq']}//",
            store,
        ),
        process=process,
        log=log,
        answers=lambda: (
            redis_answers(ports["redis"], passwords["redis"])
            and http_answers(f"{store}/minio/health/ready")
            and amqp_answers(ports["rabbitmq"], USER, passwords["rabbitmq"])
        ),
    )


def _succeeds(*words: str) -> bool:
    try:
        done = subprocess.run(
            ["docker", *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=ENGINE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
