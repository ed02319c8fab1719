"""Compose: docker-compose.yml is valid, safe to start, and sets nothing that the tests' own servers do not run with."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import amqp
import pytest
import redis

import _compose
import _install
import _local
from _access import Access
from _server import free_ports, redis_answers
from resultstore.ops.accounts import ROLES, given_accounts
from resultstore.settings import Settings, settings_known
from tests.uploads.telling import until

HERE = Path(__file__).resolve().parent.parent
# The validator of the specification's own authors.
VALIDATOR, VALIDATOR_VERSION = "github.com/compose-spec/compose-go/v2/cmd", "v2.16.2"
# Where a gateway listens, and for whom, is its place's own affair; the demo (resultstore/cli/stack.py) sets it itself.
PLACE = {f"RESULTSTORE_{name}" for name in ("GATEWAY_HOST", "GATEWAY_URL", "AUTH", "AUTH_TOKENS_FILE")}
# So are the accounts of a store: the demo makes its own.
SIGNERS = [f"RESULTSTORE_{name}" for name in ("S3_SIGN", "S3_UPLOAD_SIGN")]
PLACE |= {f"{name}_{kind}_KEY" for name in SIGNERS for kind in ("ACCESS", "SECRET")} | {"RESULTSTORE_SETUP_ACCOUNTS"}
# The alternative store, of which nothing runs here.
NOT_RUN_HERE = "rustfs"


# Redis gets it as a line of its configuration: so does the local one, in a file.
BY_STDIN = {"REDIS_PASSWORD"}


class Recorder:
    """Takes the place of what starts processes, and remembers what would have been started."""

    def __init__(self):
        self.argv, self.env = [], {}

    def start(self, argv, *, env, log, cwd):
        self.argv, self.env, self.elsewhere = argv, env, (log, cwd)


@pytest.fixture(scope="module")
def validator() -> Path:
    return _install.go_program(VALIDATOR, version=VALIDATOR_VERSION)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder as a person has it after `make .env`."""
    for name in ("docker-compose.yml", ".env.example", "Makefile"):
        shutil.copy(HERE / name, tmp_path)
    shutil.copytree(HERE / "deploy", tmp_path / "deploy")
    subprocess.run(["make", "--silent", ".env", f"PYTHON={sys.executable}"], cwd=tmp_path, check=True)
    return tmp_path


def filled_in(project: Path) -> Path:
    """The same with its variables filled in: the validator knows their syntax, and ignores every value it is given."""
    values = settings_of(project) | {"REDIS_PORT": "1", "RABBITMQ_PORT": "2"}

    def value(found: re.Match[str]) -> str:
        name, default = found.groups()
        return values.get(name, "") or default or pytest.fail(f"{name} has no value in .env and no default")

    for file in (project / "docker-compose.yml", project / "deploy/compose.services.yml"):
        file.write_text(re.sub(r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)?\}", value, file.read_text()))
    return project


def settings_of(project: Path, name: str = ".env") -> dict[str, str]:
    """The variables in that file; none when it does not exist."""
    text = (project / name).read_text() if (project / name).exists() else ""
    return dict(re.findall(r"(?m)^(\w+)=(.*)$", text))


def validated(validator: Path, project: Path, *files: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [validator, "-format", "json", *(files or ["docker-compose.yml"])],
        cwd=project,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def services(validator: Path, project: Path) -> dict[str, dict]:
    done = validated(validator, filled_in(project))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def test_compose_file_and_overlay_are_valid(validator, project):
    laid_over = validated(validator, filled_in(project), "docker-compose.yml", "deploy/compose.services.yml")
    assert laid_over.returncode == 0, laid_over.stderr
    assert set(json.loads(laid_over.stdout)["services"]["redis"]) >= {"ports", "command", "healthcheck"}


def test_validator_refuses_a_misspelt_key(validator, project):
    file = project / "docker-compose.yml"
    file.write_text(file.read_text().replace("restart:", "restrat:"))
    done = validated(validator, filled_in(project))
    assert done.returncode != 0
    assert "restrat" in done.stderr


def test_missing_passwords_stop_the_start_with_remedy(validator, project):
    (project / ".env").unlink()
    done = validated(validator, project)
    assert done.returncode != 0
    assert "REDIS_PASSWORD is missing a value: run make .env first" in done.stderr


def test_passwords_are_random_and_never_committed(project):
    committed = settings_of(project, ".env.example")
    secret = {name for name in committed if name.endswith(("PASSWORD", "SECRET_KEY", "TOKEN"))}
    assert len(secret) == 9
    assert not any(committed[name] for name in secret)

    made = settings_of(project)
    assert all(re.fullmatch("[0-9a-f]{40}", made[name]) for name in secret)
    assert len({made[name] for name in secret}) == len(secret)
    assert {name: made[name] for name in made.keys() - secret} == {n: committed[n] for n in committed.keys() - secret}
    assert (project / ".env").stat().st_mode & 0o077 == 0


def test_services_have_health_checks_restarts_and_dependencies(services):
    image_has_one = {"gateway"} if "HEALTHCHECK" in (HERE / "Dockerfile").read_text() else set()
    for name, service in services.items():
        once = name == "setup"
        assert once or name in image_has_one or service["healthcheck"]["test"], name
        assert service["restart"] == ("on-failure:3" if once else "unless-stopped"), name
    for name in ("gateway", "worker"):
        waits_for = {on: how["condition"] for on, how in services[name]["depends_on"].items()}
        assert waits_for == {
            "redis": "service_healthy",
            "rabbitmq": "service_healthy",
            "setup": "service_completed_successfully",
        }


def test_images_are_pinned_and_ports_on_loopback(services):
    for name, service in services.items():
        digest = "" if "build" in service else "@sha256:[0-9a-f]{64}"
        assert re.fullmatch(rf"[a-z]+(/[a-z]+)?:[A-Za-z.-]*\d[\w.-]*{digest}", service["image"]), name
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
    published = {port["target"] for service in services.values() for port in service.get("ports", [])}
    assert published == {8080, 9000, 15672}


def test_base_images_are_pinned_by_digest():
    bases = re.findall(r"(?m)^FROM (\S+)", (HERE / "Dockerfile").read_text())
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", one) for one in bases)


def test_no_secret_is_on_a_command_line(services, project):
    secret = [value for name, value in settings_of(project).items() if re.fullmatch("[0-9a-f]{40}", value)]
    assert len(secret) == 9
    for name, service in services.items():
        words = [service.get("command"), service.get("entrypoint"), service.get("healthcheck", {}).get("test")]
        assert not [one for one in secret if one in json.dumps(words)], name


def test_root_key_is_known_to_setup_alone(services, project):
    root = settings_of(project)["STORE_SECRET_KEY"]
    having = {name for name, service in services.items() if root in json.dumps(service)}
    assert having == {"setup", "minio", "rustfs"}


def test_each_role_has_its_own_account(services):
    def pairs(name: str) -> set[str]:
        ids = ("AWS_ACCESS_KEY_ID", *(f"{one}_ACCESS_KEY" for one in SIGNERS))
        return {services[name]["environment"][one] for one in ids}

    assert pairs("gateway") & pairs("worker") == {"resultstore-reader", "resultstore-uploader"}
    assert pairs("gateway") | pairs("worker") == {
        f"resultstore-{role}" for role in ("gateway", "worker", "reader", "uploader")
    }
    given = Settings(setup_accounts=services["setup"]["environment"]["RESULTSTORE_SETUP_ACCOUNTS"])
    assert {role: pair.access_key for role, pair in given_accounts(given).items()} == {
        role: f"resultstore-{role}" for role in ROLES
    }
    assert all(len(one.access_key) <= 20 for one in given_accounts(given).values())  # the most that MinIO takes
    assert all(len(one.secret_key) <= 40 for one in given_accounts(given).values())


def test_redis_takes_its_password_from_stdin(services, tmp_path):
    # given the command of the image, whose entrypoint passes it on
    shell, flag, script = services["redis"]["command"]
    entrypoint = tmp_path / "docker-entrypoint.sh"
    entrypoint.write_text('#!/bin/sh\nexec "$@"\n')
    entrypoint.chmod(0o700)
    [port] = free_ports(1)
    place = f"{HERE}/deploy/redis.conf --port {port} --dir {tmp_path}"
    script = script.replace("$$", "$").replace("/etc/redis/redis.conf", place)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"} | services["redis"]["environment"]

    process = subprocess.Popen([shell, flag, script], env=env, stdout=subprocess.DEVNULL)
    try:
        password = env["REDIS_PASSWORD"]
        until(lambda: redis_answers(port, password), "Redis answers")
        said = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        with redis.Redis(port=port) as client, pytest.raises(redis.AuthenticationError):
            client.ping()
    finally:
        process.terminate()
        process.wait(20)
    assert b"redis-server" in said
    assert password.encode() not in said


def test_every_variable_is_explained_and_given(tmp_path):
    used = set(re.findall(r"\$\{(\w+)", (HERE / "docker-compose.yml").read_text()))
    explained = set(re.findall(r"(?m)^(\w+)=", (HERE / ".env.example").read_text()))
    assert used | {"COMPOSE_PROFILES"} == explained

    without_default = set(re.findall(r"\$\{(\w+):\?", (HERE / "docker-compose.yml").read_text()))
    laid_over = set(re.findall(r"\$\{(\w+)", (HERE / "deploy/compose.services.yml").read_text()))
    words = dict.fromkeys(("redis", "rabbitmq", "minio"), "word")
    ports = dict.fromkeys((*words, "management"), 1)
    assert without_default | laid_over <= set(_compose.variables(tmp_path, words, ports))


def test_settings_exist_and_match_local_services(services):
    given = {name for service in services.values() for name in service.get("environment", {})}
    ours = {name for name in given if name.startswith(("RESULTSTORE_", "AWS_"))}
    explained = set(re.findall(r"(?m)^(RESULTSTORE_\w+)=", (HERE / ".env.example").read_text()))
    known = {f"RESULTSTORE_{field.upper()}" for field in settings_known()}
    assert {name for name in ours | explained if name.startswith("RESULTSTORE_")} <= known
    assert ours - PLACE == set(Access("", "", "", "", "").for_settings())


def test_server_settings_match_local_servers(services, tmp_path):
    # given how the local servers would be started, from the same checkout
    started = {}
    for name, start in {
        "redis": lambda room: _local.start_redis(room, Path("redis-server")),
        "rabbitmq": lambda room: _local.start_rabbitmq(room, Path("rabbitmq-server"), epmd=Path("epmd")),
        "minio": lambda room: _local.start_minio(room, Path("minio")),
    }.items():
        started[name] = Recorder()
        start(_local.server_folder(tmp_path / name, started[name]))
    local = {name: " ".join([*map(str, one.argv), *one.env.values()]) for name, one in started.items()}
    local["redis"] += (tmp_path / "redis/own.conf").read_text()

    # then each variable, each file that is laid in, and each flag is there too
    servers = {name: one for name, one in services.items() if one["image"] != services["gateway"]["image"]}
    assert set(servers) - {NOT_RUN_HERE} == set(started)
    for name, recorded in started.items():
        assert set(servers[name].get("environment", {})) - BY_STDIN <= set(recorded.env), name
        laid_in = [volume["source"] for volume in servers[name]["volumes"] if volume["type"] == "bind"]
        assert all(f"{HERE}/deploy/{Path(source).name}" in local[name] for source in laid_in), name
        flags = [word for word in servers[name].get("command") or [] if word.startswith("--")]
        assert all(flag in local[name] for flag in flags), name
    [from_file] = servers["minio"]["env_file"]
    assert from_file["path"].endswith("/deploy/minio.env")
    assert {} != settings_of(HERE, "deploy/minio.env").items() <= started["minio"].env.items()


def test_redis_runs_as_deploy_says_it_does(redis_url):
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.config_get("maxmemory-policy", "appendonly", "appendfsync", "save") == {
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
        }


def test_rabbitmq_refuses_value_instead_of_reference(amqp_url):
    user, password, host = re.fullmatch(r"amqp://(\w+):(\w+)@([\w.:]+)//", amqp_url).groups()
    with amqp.Connection(host, userid=user, password=password, confirm_publish=True) as connection:
        channel = connection.channel()
        queue = channel.queue_declare(exclusive=True).queue
        channel.basic_publish(amqp.Message(b"x" * 1024), routing_key=queue)
        with pytest.raises(amqp.PreconditionFailed, match="larger than configured max size 16777216"):
            channel.basic_publish(amqp.Message(b"x" * (16 * 1024 * 1024 + 1)), routing_key=queue)
