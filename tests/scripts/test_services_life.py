"""However scripts/services ends, its servers end with it, and two checkouts do not collide."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
POLL_S = 0.05
START_LIMIT_S = 90
END_LIMIT_S = 15
WRITE_ENVIRONMENT = (
    "import json, os; json.dump(dict(os.environ), open('draft', 'w')); os.rename('draft', 'environment')"
)
# Runs a command with no servers at all: what is under test is the way it ends.
RUN_WITHOUT_SERVERS = """
import sys
sys.path.insert(0, "scripts")
import _run
from _access import Access
class NoServers(_run.Servers):
    def start(self):
        return Access("redis", "amqp", "s3", "user", "password")
_run.Servers = NoServers
sys.exit(_run.run(sys.argv[1:], export_settings=False))
"""


@pytest.fixture
def new_checkout(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    made: list[Path] = []

    def new(name: str) -> Path:
        folder = tmp_path / name
        for part in ("scripts", "deploy"):
            shutil.copytree(HERE / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "resultstore" / "ops").mkdir(parents=True)
        shutil.copy(HERE / "resultstore/ops/process_reaper.py", folder / "resultstore/ops")
        shutil.copy(HERE / "docker-compose.yml", folder)
        made.append(folder)
        return folder

    yield new
    for pid in [pid for folder in made for pid in running_in(folder)]:
        os.kill(pid, signal.SIGKILL)


def running_in(folder: Path) -> list[int]:
    """Every live process whose working folder lies there: all that a checkout's services start has it there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            where = Path(str(entry.readlink()).removesuffix(" (deleted)"))
        except OSError:
            continue  # it has ended, or is a zombie
        if where.is_relative_to(folder):
            found.append(int(entry.parent.name))
    return found


def until(true: Callable[[], bool], *, limit_s: float) -> None:
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, f"not so within {limit_s} s"
        time.sleep(POLL_S)


def services(checkout: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "scripts/services", *words], cwd=checkout, start_new_session=True)


@pytest.mark.timeout(240)
def test_two_checkouts_leave_nothing_when_ended(new_checkout):
    # given two checkouts, each with its own servers and a command that has seen them
    killed, ending = new_checkout("killed"), new_checkout("ending")
    to_kill = services(killed, "run", "--", sys.executable, "-c", f"{WRITE_ENVIRONMENT}; import time; time.sleep(600)")
    wait_then_exit_7 = (
        f"{WRITE_ENVIRONMENT}; import time\nwhile not os.path.exists('end'): time.sleep(.05)\nos._exit(7)"
    )
    to_end = services(ending, "run", "--", sys.executable, "-c", wait_then_exit_7)
    for checkout in (killed, ending):
        until((checkout / "environment").exists, limit_s=START_LIMIT_S)
    one, other = (json.loads((checkout / "environment").read_text()) for checkout in (killed, ending))

    # when one is killed with its process alone, and the other's command ends
    assert len(running_in(killed)) > 5, "the killed one runs no servers: nothing would be proven"
    to_kill.send_signal(signal.SIGKILL)
    (ending / "end").touch()

    # then nothing stays, the exit code is the command's, and no address was shared
    assert to_end.wait(END_LIMIT_S) == 7
    to_kill.wait()
    until(lambda: not running_in(killed), limit_s=END_LIMIT_S)
    assert not running_in(ending)
    assert not list((ending / ".services").glob("run-*"))
    shared = {name for name in one if name.startswith("RS_TEST_") and one[name] == other[name]}
    assert shared == {"RS_TEST_S3_ACCESS_KEY"}


@pytest.mark.timeout(240)
def test_background_servers_start_once_and_stop_cleanly(new_checkout):
    checkout = new_checkout("standing")
    try:
        assert services(checkout, "start").wait() == 0
        first = subprocess.check_output([sys.executable, "scripts/services", "env"], cwd=checkout)
        assert services(checkout, "start").wait() == 0
        assert services(checkout, "status").wait() == 0
        again = subprocess.check_output([sys.executable, "scripts/services", "env"], cwd=checkout)
    finally:
        assert services(checkout, "stop").wait() == 0

    def lines(exports: bytes) -> list[bytes]:
        return [line for line in exports.splitlines() if b"RS_TEST_" in line]

    assert lines(first) == lines(again) != []
    assert services(checkout, "status").wait() == 3
    assert not running_in(checkout)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGTERM, 128 + 15), (signal.SIGINT, 128 + 2), (signal.SIGHUP, 128 + 1), (signal.SIGKILL, -9)],
)
def test_signalled_runner_ends_command_and_children(new_checkout, number, expected):
    # given a command whose child has moved to a process group of its own and does not listen to SIGTERM
    checkout = new_checkout("signalled")
    child = "import os, signal, time; os.setpgid(0, 0); signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    child += "; open('ready', 'w').close(); time.sleep(600)"
    command = [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"]
    runner = subprocess.Popen(
        [sys.executable, "-c", RUN_WITHOUT_SERVERS, *command],
        cwd=checkout,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    until((checkout / "ready").exists, limit_s=END_LIMIT_S)

    # when the runner gets the signal
    runner.send_signal(number)

    # then it ends as the signal says, and so do they
    assert runner.wait(END_LIMIT_S) == expected
    until(lambda: not running_in(checkout), limit_s=END_LIMIT_S)


def test_unknown_command_is_named(new_checkout):
    checkout = new_checkout("mistyped")
    done = subprocess.run(
        [sys.executable, "-c", RUN_WITHOUT_SERVERS, "no-such-program"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "cannot run no-such-program: No such file" in done.stderr
    assert not running_in(checkout)
