"""Dramatiq suite: Dramatiq's own tests of result backends over ours, in a pytest of their own."""

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from suite_process import Outcome

ROOT = Path(__file__).resolve().parents[2]
PART = "test_results"
LIMIT_S = 300

_INLINE0: Mapping[str, str] = {"RESULTSTORE_INLINE_MAX_BYTES": "0"}
_CAPTURE: Mapping[str, str] = {"RS_CONFORMANCE_CAPTURE": "1"}
# Under the names that they have in build/conformance.json.
RUNS: Mapping[str, Mapping[str, str]] = {
    "dramatiq-default-backend": {},
    "dramatiq-inline0-backend": _INLINE0,
    "dramatiq-default-capture": _CAPTURE,
    "dramatiq-inline0-capture": {**_CAPTURE, **_INLINE0},
}


def run_dramatiq(run: str, *, tests: Path, folder: Path) -> Outcome:
    """Run the file at `tests` with the settings of `run`; its log is left in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / f"{PART}.xml"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    with (folder / f"{PART}.log").open("wb") as log:
        code = subprocess.run(
            _command(tests, report=report, folder=folder),
            check=False,
            cwd=folder,
            env={
                **os.environ,
                **RUNS[run],
                "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_S,
        ).returncode
    outcomes = read_report(report) if report.exists() else {}
    broken = "" if code in {0, 1} and outcomes else f"pytest ended with exit code {code}"
    return Outcome(outcomes, {}, broken, time.monotonic() - began)


def read_report(path: Path) -> dict[str, str]:
    """The outcome of each test of a JUnit report. Nothing in that file may be skipped: that counts as failed."""
    words = {"failure": "failed", "error": "failed", "skipped": "failed"}
    return {
        f"{PART}.py::{case.get('name')}": next((words[part.tag] for part in case if part.tag in words), "passed")
        for case in ET.parse(path).iter("testcase")
    }


def _command(tests: Path, *, report: Path, folder: Path) -> list[str]:
    alone = ["--rootdir", str(folder), "--config-file", os.devnull, "-p", "no:cacheprovider"]
    ours = ["-p", "tests.conftest", "-p", "tests.conformance.dramatiq_fixtures"]
    return [sys.executable, "-m", "pytest", "-v", *alone, *ours, "--junit-xml", str(report), str(tests)]
