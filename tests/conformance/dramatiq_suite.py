#!/usr/bin/env python3
"""Dramatiq suite: Dramatiq's own tests of result backends over ours; build/conformance-dramatiq.json has the counts.

    scripts/services run -- python tests/conformance/dramatiq_suite.py

The file comes from the source distribution of the installed version, fetched by pip once and kept in build/. Fails for
a test that does not pass, be it skipped.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "conformance"
REPORT = ROOT / "build" / "conformance-dramatiq.json"
MODULE = "tests/test_results.py"

RUNS: Mapping[str, Mapping[str, str]] = {
    "backend": {},
    "backend, inline_max_bytes=0": {"RESULTSTORE_INLINE_MAX_BYTES": "0"},
    "capture": {"RS_CONFORMANCE_CAPTURE": "1"},
    "capture, inline_max_bytes=0": {"RS_CONFORMANCE_CAPTURE": "1", "RESULTSTORE_INLINE_MAX_BYTES": "0"},
}


def main() -> int:
    """Fetch, run, report."""
    version = importlib.metadata.version("dramatiq")
    told = {}
    for run, env in RUNS.items():
        told[run] = {MODULE: counts(source(version), env)}
        print(f"dramatiq {version}, {run}: {told[run][MODULE]}", flush=True)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps({"dramatiq": version, "runs": told}, indent=2) + "\n")
    return int(any(set(each[MODULE]) != {"passed"} for each in told.values()))


def source(version: str) -> Path:
    """The test file of that version; downloaded unless it was before."""
    kept = CACHE / f"dramatiq-{version}" / MODULE
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            wanted = ["--no-deps", "--no-binary", "dramatiq", f"dramatiq=={version}", "--dest", folder]
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", *wanted], check=True)
            with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
                archive.extractall(folder, filter="data")
            shutil.copytree(next(Path(folder).glob("dramatiq-*/")), CACHE / f"dramatiq-{version}")
    return kept


def counts(module: Path, env: Mapping[str, str]) -> dict[str, int]:
    """Run the file in a process of its own: how many of its tests passed, failed, were skipped."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            "-m",
            "pytest",
            "--quiet",
            "--rootdir",
            folder,
            "--config-file",
            os.devnull,
            "-p",
            "no:cacheprovider",
        ]
        plugins = ["-p", "tests.conftest", "-p", "tests.conformance.dramatiq_fixtures", "--junit-xml", str(report)]
        subprocess.run(
            [sys.executable, *command, *plugins, str(module)],
            check=False,
            cwd=folder,
            env={**os.environ, **env, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        )
        suite = ET.parse(report).getroot().find("testsuite")
    wrong = {name: int(suite.get(key)) for name, key in (("failed", "failures"), ("errors", "errors"))}
    wrong["skipped"] = int(suite.get("skipped"))
    passed = int(suite.get("tests")) - sum(wrong.values())
    return {name: count for name, count in {"passed": passed, **wrong}.items() if count}


if __name__ == "__main__":
    sys.exit(main())
