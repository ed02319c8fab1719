"""The demo runs its tasks by one command, and leaves no process however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

TASKS = {"images.resize", "pdf.report", "models.train", "tables.convert"}
COMMAND = [sys.executable, "-m", "resultstore.cli", "demo"]
RUN_LIMIT_S = 110
GONE_LIMIT_S = 15
POLL_S = 0.1
# Of `make test` itself: a demo must not see other servers than its own.
FOREIGN = ("RESULTSTORE_", "RS_TEST_")

pytestmark = pytest.mark.timeout(RUN_LIMIT_S + 40)


@pytest.fixture(scope="module")
def twins(tmp_path_factory) -> list[tuple[Path, int, dict[str, Any]]]:
    """Two demos that ran at once in two folders: folder, exit code, their output."""
    folders = [tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")]
    command = [*COMMAND, "--once", "--json"]
    demos = [subprocess.Popen(command, cwd=one, env=environment(), stdout=subprocess.PIPE) for one in folders]
    told = [json.loads(demo.communicate(timeout=RUN_LIMIT_S)[0]) for demo in demos]
    return [(folder, demo.returncode, one) for folder, demo, one in zip(folders, demos, told, strict=True)]


def test_once_verifies_results_and_leaves_no_process(twins):
    for folder, code, told in twins:
        assert code == 0
        assert {one["task"] for one in told["results"]} == TASKS
        assert all(one["state"] == "SUCCESS" and one["sealed"] and one["run_time_s"] >= 0 for one in told["results"])
        promised = {(one["id"], part["name"]): part for one in told["results"] for part in one["artifacts"]}
        checked = {(one["id"], one["name"]): one for one in told["checked"]}
        assert len(promised) >= 9
        assert checked.keys() == promised.keys()
        for name, one in checked.items():
            assert (one["fault"], one["sha256"]) == ("", promised[name]["sha256"])
            assert one["size_bytes"] == promised[name]["size_bytes"] > 0
        assert processes_of(folder) == []


def test_two_demos_in_two_folders_do_not_meet(twins):
    (_, _, first), (_, _, second) = twins

    assert first["gateway"] != second["gateway"]
    assert not {one["id"] for one in first["results"]} & {one["id"] for one in second["results"]}


def test_second_demo_in_a_folder_is_refused(tmp_path):
    with started(tmp_path):
        second = subprocess.run(
            [*COMMAND, "--once"],
            check=False,
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert second.returncode == 1
    assert "another demo runs in" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_during_startup_leaves_no_process(tmp_path, number):
    with started(tmp_path) as demo:
        assert len(processes_of(tmp_path)) > 2

        demo.send_signal(number)
        code = demo.wait(timeout=GONE_LIMIT_S)

    assert_all_gone(tmp_path)
    assert code == 128 + number


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_a_demo_that_serves(tmp_path, number):
    with started(tmp_path) as demo:
        url = wait_serving(tmp_path, demo)
        assert httpx.get(f"{url}/readyz").status_code == 200

        demo.send_signal(number)
        code = demo.wait(timeout=GONE_LIMIT_S)

    assert_all_gone(tmp_path)
    assert code == (-9 if number == signal.SIGKILL else 0)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/readyz")


def test_folder_is_usable_after_a_killed_demo(tmp_path):
    with started(tmp_path) as demo:
        demo.kill()
        demo.wait()
    assert_all_gone(tmp_path)

    again = subprocess.run([*COMMAND, "--once"], check=False, cwd=tmp_path, env=environment(), timeout=RUN_LIMIT_S)

    assert again.returncode == 0


def test_dead_worker_ends_the_demo(tmp_path):
    with started(tmp_path) as demo:
        worker = next(pid for pid in processes_of(tmp_path) if b"\0celery\0" in command_of(pid))
        os.kill(worker, signal.SIGKILL)
        code = demo.wait(timeout=30)

    assert code == 4
    assert "worker" in (tmp_path / "stderr").read_text()
    assert_all_gone(tmp_path)


@contextmanager
def started(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A demo in `folder` whose worker has just been started."""
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        demo = subprocess.Popen(COMMAND, cwd=folder, env=environment(), stdout=out, stderr=err)
    try:
        until = time.monotonic() + 60
        while not any(b"\0celery\0" in command_of(pid) for pid in processes_of(folder)):
            assert demo.poll() is None, (folder / "stderr").read_text()
            assert time.monotonic() < until, "the worker was never started"
            time.sleep(POLL_S)
        yield demo
    finally:
        demo.kill()
        demo.wait()
        assert_all_gone(folder)


def wait_serving(folder: Path, demo: "subprocess.Popen[bytes]") -> str:
    """Wait for the end of the work; gives the gateway's URL."""
    until = time.monotonic() + RUN_LIMIT_S
    while "Ctrl-C" not in (text := (folder / "stdout").read_text()):
        assert demo.poll() is None, (folder / "stderr").read_text()
        assert time.monotonic() < until, text
        time.sleep(POLL_S)
    lines = (folder / ".demo" / "env").read_text().splitlines()
    return next(line for line in lines if "GATEWAY_URL" in line).split("'")[1]


def assert_all_gone(folder: Path) -> None:
    until = time.monotonic() + GONE_LIMIT_S
    while processes_of(folder) and time.monotonic() < until:
        time.sleep(POLL_S)
    assert [command_of(pid) for pid in processes_of(folder)] == []


def processes_of(folder: Path) -> list[int]:
    """Processes of a demo in `folder`: those that run in it, or name it in their command line or environment."""
    own = str(os.getpid())
    return [int(one.name) for one in Path("/proc").glob("[0-9]*") if one.name != own and _names(one, folder)]


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def _names(entry: Path, folder: Path) -> bool:
    try:
        if (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return False
        told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        return os.fsencode(folder) in told or (entry / "cwd").readlink().is_relative_to(folder)
    except OSError:  # it ended while we looked
        return False
