"""Mutation tests: put one deliberate fault at a time into a copy of the source, and run the tests that must fail.

    scripts/services run -- .venv/bin/python scripts/mutants.py [NAME ...]

Ends with 1 when a fault is not noticed, or when the tests fail without it. tests/mutants.toml lists the faults.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAULTS = ROOT / "tests" / "mutants.toml"
LIMIT_S = 600.0  # a fault may make a test wait until its own time limit
FAILED = 1  # pytest's exit code for failed tests; others say that none ran
TAIL_CHARS = 3_000


@dataclass(frozen=True)
class Fault:
    """One deliberate fault.

    Args:
        name: on the command line and in the report.
        promise: what the product no longer keeps with it.
        file: the source file, from the root of the project.
        old, new: `old` is in the file exactly once, and is replaced by `new`.
        tests: what to give to pytest.
    """

    name: str
    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def main(chosen: list[str]) -> int:
    """Try the named faults, or all, and return the exit code."""
    faults = list(_faults(chosen))
    with _copy() as copy:
        unbroken, output = _run(copy, dict.fromkeys(test for fault in faults for test in fault.tests))
        if unbroken != 0:
            print(output[-TAIL_CHARS:], "\nmutants: the tests fail without any fault", sep="")
            return 1
        missed = [fault.name for fault in faults if not _is_noticed(copy, fault)]
    print(f"{len(faults) - len(missed)} passed, {len(missed)} failed")
    return 1 if missed else 0


def _is_noticed(copy: Path, fault: Fault) -> bool:
    path = copy / fault.file
    source = path.read_text(encoding="utf-8")
    if source.count(fault.old) != 1:
        print(f"STALE   {fault.name}: `old` is {source.count(fault.old)} times in {fault.file}: write it anew")
        return False
    path.write_text(source.replace(fault.old, fault.new), encoding="utf-8")
    try:
        code, output = _run(copy, fault.tests)
    finally:
        path.write_text(source, encoding="utf-8")
    noticed = code == FAILED
    print(f"{'noticed' if noticed else 'MISSED '} {fault.name}: {fault.promise}", flush=True)
    if not noticed:
        print(f"exit code {code}\n{output[-TAIL_CHARS:]}")
    return noticed


def _faults(chosen: list[str]) -> Iterator[Fault]:
    listed = tomllib.loads(FAULTS.read_text(encoding="utf-8"))["fault"]
    known = {one["name"]: Fault(**{**one, "tests": tuple(one["tests"])}) for one in listed}
    unknown = set(chosen) - known.keys()
    if unknown:
        raise SystemExit(f"mutants: no fault is named {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    yield from (fault for name, fault in known.items() if not chosen or name in chosen)


@contextmanager
def _copy() -> Iterator[Path]:
    """Copy the tracked files to a temporary folder: an interrupted run does not change the checkout."""
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True).split("\0")
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in filter(None, listed):
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_file():
                shutil.copy2(ROOT / name, target)
        yield Path(folder)


def _run(copy: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Run tests over the copy; pytest's exit code and what it printed."""
    options = ["-q", "-x", "--color=no", "-p", "no:cacheprovider"]
    # The copy comes before the installed checkout. No bytecode: Python compares its age in whole seconds.
    environment = os.environ | {"PYTHONPATH": f"{copy}{os.pathsep}{copy / 'tasks'}", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", *options, *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as late:
        return FAILED, f"no end after {late.timeout:.0f} s"
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
