"""Tests combinations of versions, each with its own servers: tests/versions.toml.

    .venv/bin/python scripts/versions.py [NAME ...]

Run by `make versions [ONLY="NAME ..."]`. Writes build/versions.json, keeps the newest result of each combination in
tests/versions.json and makes docs/reference/versions.md of it. Ends with 1 when a test failed or a time limit passed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import _versions_page
from _access import Failed
from _child_processes import ChildProcesses
from _combinations import ROOT, Combination, Result, combinations, keep_result
from _server_programs import server_folder
from overlay import overlay

BUILD = ROOT / "build" / "versions"
REPORT = ROOT / "build" / "versions.json"
GRACE_S = 60
FAULTY = {"failed", "timed out"}
SHOWN_LINES = 60  # of the log of a combination that failed


def main(chosen: Sequence[str]) -> int:
    """Test the named combinations, or all that are not apart, and return the exit code."""
    known = combinations()
    if unknown := set(chosen) - known.keys():
        print(f"versions: no such combination: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return 2
    BUILD.mkdir(parents=True, exist_ok=True)
    results: dict[str, Result] = {}
    for name in chosen or [name for name, one in known.items() if not one.apart]:
        results[name] = tested(known[name])
        print(f"{name:<28} {_versions_page.in_words(results[name])}", flush=True)
        if results[name]["outcome"] in FAULTY:
            print("\n".join(log_of(name).read_text(errors="replace").splitlines()[-SHOWN_LINES:]))
        REPORT.write_text(json.dumps(results, indent=2) + "\n")
        if not known[name].apart:
            keep_result(name, results[name])
            _versions_page.PAGE.write_text(_versions_page.with_head())
    outcomes = [result["outcome"] for result in results.values()]
    print(f"{outcomes.count('passed')} passed, {len(outcomes) - outcomes.count('passed')} failed or not tested")
    faulty = FAULTY | {"not tested"} if chosen else FAULTY
    return 1 if faulty & set(outcomes) else 0


def log_of(name: str) -> Path:
    """Return the file with all that the run of a combination printed."""
    return BUILD / f"{name}.log"


def tested(one: Combination) -> Result:
    """Bring what the combination needs, run its tests and return the result."""
    date = datetime.now(UTC).date().isoformat()
    try:
        python, programs = overlay(list(one.packages), python=one.python), server_folder(one.servers)
    except Failed as problem:
        return {"date": date, "outcome": "not tested", "why": str(problem)}
    target = BUILD / f"{one.name}.json"
    services = [sys.executable, str(ROOT / "scripts" / "services"), "run", "--"]
    command = [*services, str(python), str(ROOT / "scripts" / "one_combination.py"), one.name, str(target)]
    began = time.monotonic()
    result = run_limited(command, target=target, log=log_of(one.name), limit_s=one.limit_s, programs=programs)
    return {"date": date, **result, "took_s": round(time.monotonic() - began)}


def run_limited(
    command: Sequence[str], *, target: Path, log: Path, limit_s: float, programs: Path | None = None
) -> Result:
    """Run a command that writes its result to `target`, end it at its time limit, and return the result.

    Args:
        command: the program and its arguments.
        target: the JSON file that it writes.
        log: the file for its output.
        limit_s: the time limit, in seconds.
        programs: the folder whose servers are started instead of the usual ones.
    """
    target.unlink(missing_ok=True)
    env = dict(os.environ)
    if programs is not None:
        env |= {"RS_SERVER_PROGRAMS": str(programs), "PATH": os.pathsep.join([str(programs), env.get("PATH", "")])}
    processes = ChildProcesses()
    try:
        with log.open("wb") as output:
            processes.start(command, env=env, log=output, cwd=ROOT).wait(limit_s)
    except subprocess.TimeoutExpired:
        return {"outcome": "timed out", "why": f"not done within {limit_s} s"}
    finally:
        processes.stop(grace_s=GRACE_S)  # by a signal, upon which `services` ends its servers
    if not target.exists():
        return {"outcome": "failed", "why": f"ended before the tests: see {log.name}"}
    result: Result = json.loads(target.read_text())
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
