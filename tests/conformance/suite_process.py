"""Suite process: runs a part of the suite in a pytest of its own, with a time limit, and ends all its processes."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kombu import Connection
from kombu.exceptions import OperationalError
from matrix import SETTINGS_FILE, Part

from _child_processes import ChildProcesses

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TEST_LIMIT_S = 300  # what the suite itself gives to the tests that it marks
# From the least to what decides: a test that failed in one phase has failed.
WEIGHT = ("unfinished", "passed", "skipped", "xfailed", "xpassed", "failed")


@dataclass(frozen=True)
class Outcome:
    """What came out of one part: the outcome of every test by its name, `test_canvas.py::test_chord::test_x[1]`."""

    tests: Mapping[str, str]
    why: Mapping[str, str]
    broken: str  # empty, or how the process ended if not as pytest does after running tests
    took_s: float

    def counts(self) -> dict[str, int]:
        """How many tests passed, failed and so on; one that did not come to its end has failed."""
        found = list(self.tests.values())
        return {word: found.count(word) for word in ("passed", "failed", "skipped", "xfailed", "xpassed")}


def run_part(part: Part, *, suite: Path, folder: Path, env: Mapping[str, str], reruns: bool) -> Outcome:
    """Run one part of the suite below `suite`; its log and its outcomes are left in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / f"{part.name}.jsonl"
    told.unlink(missing_ok=True)
    clear_queue(env["TEST_BROKER"])
    processes, began = ChildProcesses(), time.monotonic()
    try:
        with (folder / f"{part.name}.log").open("wb") as log:
            child = processes.start(_command(part, reruns=reruns), env=_variables(env, told), log=log, cwd=suite)
            broken = _ending(child, limit_s=part.limit_s)
    finally:
        processes.kill()  # workers too, which share its session
    tests, why = read_outcomes(told.read_text().splitlines() if told.exists() else [])
    return Outcome(tests, why, broken or ("" if tests else "has no test"), time.monotonic() - began)


def read_outcomes(lines: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """What the plugin has written: each test's outcome, and why. The last attempt counts; unfinished is failed."""
    tests: dict[str, str] = {}
    why: dict[str, str] = {}
    for line in lines:
        told = json.loads(line)
        path, *inside = told["test"].split("::")
        name, outcome = "::".join([Path(path).name or SETTINGS_FILE, *inside]), told["outcome"]
        if outcome in {"unfinished", "rerun"}:
            tests[name] = "unfinished"
        elif WEIGHT.index(outcome) >= WEIGHT.index(tests.get(name, "unfinished")):
            tests[name] = outcome
        if told["why"]:
            why.setdefault(name, told["why"])  # what came first: of a failed subtest the test itself says nothing
    return {name: "failed" if outcome == "unfinished" else outcome for name, outcome in tests.items()}, why


def clear_queue(broker_url: str) -> None:
    """Remove the queue that the suite's workers share: what a part left in it would be the next one's first task."""
    with Connection(broker_url) as connection, suppress(OperationalError):
        connection.default_channel.queue_delete("celery")


def _command(part: Part, *, reruns: bool) -> list[str]:
    plugins = ["-p", "celery.contrib.pytest", "-p", "suite_plugin", "-p", "no:cacheprovider", "-c", "pyproject.toml"]
    plugins += [] if reruns else ["-p", "no:rerunfailures"]
    how = ["-v", "--color=no", "--tb=short", "--durations=10", f"--timeout={TEST_LIMIT_S}"]
    return [sys.executable, "-m", "pytest", *plugins, *how, *part.pytest_args]


def _variables(env: Mapping[str, str], told: Path) -> dict[str, str]:
    modules = [str(HERE), os.environ.get("PYTHONPATH") or str(ROOT)]
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]  # some tests start `celery`
    paths = {"PYTHONPATH": os.pathsep.join(modules), "PATH": os.pathsep.join(programs)}
    return {**os.environ, **env, **paths, "CONFORMANCE_OUTCOMES": str(told)}


def _ending(child: subprocess.Popen[bytes], *, limit_s: int) -> str:
    try:
        code = child.wait(limit_s)
    except subprocess.TimeoutExpired:
        return f"not done within {limit_s} s"
    return "" if code in {0, 1} else f"pytest ended with exit code {code}"
