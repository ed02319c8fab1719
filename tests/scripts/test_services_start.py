"""scripts/services finds, installs or builds its programs, and names what is missing."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import _compose
import _install
import _local
import _server
from _access import Access, Failed
from _child_processes import ChildProcesses

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ASK_FOR_PROGRAMS_AS_A_USER = """
import sys
sys.path.insert(0, sys.argv[1])
import _install
_install.RABBITMQ_FOLDERS = ()
_install.os.geteuid = lambda: 1000
_install.programs()
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Makes an executable that is found first: (name, what it does in sh)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, body: str) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        return program

    return make


@pytest.fixture
def processes():

    tethered = ChildProcesses()
    yield tethered
    tethered.kill()


def test_lost_port_is_replaced(processes, tmp_path, monkeypatch):
    # given a port that was free when it was chosen and is taken when Redis starts

    choices = []
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()

        def unlucky_once(count):
            choices.append([thief.getsockname()[1]] if not choices else _server.free_ports(count))
            return choices[-1]

        monkeypatch.setattr(_local, "free_ports", unlucky_once)
        folder = _local.server_folder(tmp_path / "redis", processes)

        # when it is started
        def start():
            return _local.start_redis(folder, Path("redis-server"))

        server = _server.answering(start, start())

    # then it answers on the second choice
    assert len(choices) == 2
    assert f":{choices[1][0]}/" in server.addresses[0]


def test_foreign_server_is_not_mistaken_for_ours(redis_url, amqp_url):

    assert not _server.redis_answers(int(redis_url.rpartition(":")[2].removesuffix("/0")), "another password")
    amqp_port = int(amqp_url.rpartition(":")[2].rstrip("/"))
    assert not _server.amqp_answers(amqp_port, "resultstore", "another password")


def test_failed_start_shows_the_end_of_log(fake, processes, tmp_path):

    broken = fake("broken-redis", "echo the disk is upside down; exit 3")
    folder = _local.server_folder(tmp_path / "redis", processes)
    with pytest.raises(Failed, match=r"redis does not answer.*\n.*the disk is upside down"):
        _server.answering(lambda: _local.start_redis(folder, broken), _local.start_redis(folder, broken))


def test_concurrent_builds_of_a_program_build_once(fake, tmp_path, monkeypatch):
    # given a Go that takes a while, and an empty cache

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake("go", f'echo "$@" >> {tmp_path}/calls; sleep 0.3; echo built > "$GOBIN/thing"')

    # when two ask at once, and one later
    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(lambda _: _install.go_program("example.org/thing", version="v1.2.3"), range(2)))
    made.append(_install.go_program("example.org/thing", version="v1.2.3"))

    # then it was built once, at that version, and no partial build is left
    assert (tmp_path / "calls").read_text().count("example.org/thing@v1.2.3") == 1
    assert len(set(made)) == 1
    assert made[0].read_text() == "built\n"
    assert {path.name for path in made[0].parent.iterdir()} == {
        "example.org-thing-v1.2.3",
        "example.org-thing-v1.2.3.lock",
    }


def test_failed_build_leaves_no_program(fake, tmp_path, monkeypatch):

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake("go", 'echo half > "$GOBIN/thing"; exit 1')
    with pytest.raises(Failed, match=r"go install .*example.org/thing@v1.* failed with exit code 1"):
        _install.go_program("example.org/thing", version="v1")
    assert not (tmp_path / "cache/resultstore/bin/example.org-thing-v1").exists()


def test_program_on_path_needs_the_pinned_version(fake, tmp_path, monkeypatch):

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fake("go", 'echo built > "$GOBIN/thing"')
    on_path = fake("thing", "# mod example.org/thing v2.0.0")
    assert _install.go_program("example.org/thing", version="v2.0.0") == on_path
    assert _install.go_program("example.org/thing", version="v3.0.0") != on_path


def test_bare_machine_learns_what_to_install(tmp_path):
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            ASK_FOR_PROGRAMS_AS_A_USER,
            SCRIPTS,
        ],
        env={"PATH": str(tmp_path / "empty"), "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Failed: rabbitmq-server redis-server not found" in done.stderr
    assert "apt-get install rabbitmq-server redis-server" in done.stderr


def test_missing_servers_are_installed_by_apt(fake, tmp_path, monkeypatch):
    # given root on a Debian without the servers, whose apt-get brings them

    bin_folder = fake(
        "apt-get",
        f'echo "$@" >> {tmp_path}/calls; for p in redis-server rabbitmq-server epmd; do '
        f'printf "#!/bin/sh\\n" > {tmp_path}/bin/$p; chmod +x {tmp_path}/bin/$p; done',
    ).parent
    fake("go", 'echo built > "$GOBIN/minio"')
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(_install, "RABBITMQ_FOLDERS", (str(bin_folder),))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    # when the programs are asked for
    found = _install.programs()

    # then apt-get was asked for both, without a question, and what it brought is used
    update, install = (tmp_path / "calls").read_text().splitlines()
    assert "update" in update
    assert "--yes" in install
    assert install.endswith("rabbitmq-server redis-server")
    assert found.rabbitmq == bin_folder / "rabbitmq-server"


@pytest.mark.parametrize("answer", ["exit 1", "sleep 60", '[ "$1" = info ]'])
def test_unusable_container_engine_is_skipped(fake, answer):

    fake("docker", f"exec 2>/dev/null; {answer}")
    began = time.monotonic()
    assert not _compose.engine_answers()
    assert time.monotonic() - began < 2 * _compose.ENGINE_TIMEOUT_S


def test_compose_starts_three_servers_and_removes_them(fake, processes, tmp_path):
    # given an engine on which they end at once

    fake("docker", f'echo "$COMPOSE_PROJECT_NAME: $@" >> {tmp_path}/calls; echo "$COMPOSE_FILE" >> {tmp_path}/files')

    # when they are started
    with pytest.raises(Failed, match="does not answer"):
        _compose.start_all(tmp_path, processes, keep=False)

    # then each try brought up those three from both files, and took them down with their volumes
    calls = (tmp_path / "calls").read_text().splitlines()
    project = calls[0].partition(":")[0]
    assert (
        calls
        == [
            f"{project}: compose up --abort-on-container-exit redis rabbitmq minio",
            f"{project}: compose down --volumes",
        ]
        * 3
    )
    files = {Path(name) for line in (tmp_path / "files").read_text().split() for name in line.split(os.pathsep)}
    assert {path.name for path in files if path.is_file()} == {"docker-compose.yml", "compose.services.yml"}


def test_secret_key_is_the_same_in_each_terminal():
    first, second, other = (
        Access("redis", "amqp", "s3", "user", password).for_settings()["RESULTSTORE_SECRET_KEY"]
        for password in ("password", "password", "another")
    )

    assert first == second != other
    assert len(first) == 64
