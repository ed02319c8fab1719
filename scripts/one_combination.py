"""Runs the tests of one combination, and writes how they ended and which versions they met.

    scripts/services run -- PYTHON scripts/one_combination.py NAME RESULT.json

Run by scripts/versions.py.
"""

import json
import os
import platform
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import redis
from amqp import Connection  # type: ignore[import-untyped]

from _combinations import ROOT, combinations

DISTRIBUTIONS = ("celery", "kombu", "dramatiq", "taskiq", "redis")
SHOWN = 10  # failed tests that are named in the result
WORDS = {"failure": "failed", "error": "failed", "skipped": "skipped"}


def main(name: str, path: str) -> int:
    """Run the tests and write the result; 1 if a test failed or pytest could not run them."""
    one = combinations()[name]
    target = Path(path)
    found = versions_found()
    counts: Counter[str] = Counter()
    failed: list[str] = []
    codes = []
    for number, args in enumerate(one.pytest_args):
        report = target.with_suffix(f".{number}.xml")
        report.unlink(missing_ok=True)
        how = ["-q", "--color=no", "-p", "no:cacheprovider", f"--junit-xml={report}"]
        codes.append(subprocess.run([sys.executable, "-m", "pytest", *how, *args], check=False, cwd=ROOT).returncode)
        outcomes = read_report(report) if report.exists() else {}
        counts.update(outcomes.values())
        failed += [test for test, word in outcomes.items() if word == "failed"]
    passed = not any(codes) and counts["passed"] > 0
    result = {"outcome": "passed" if passed else "failed", "found": found, "tests": dict(sorted(counts.items()))}
    target.write_text(json.dumps({**result, "failed": sorted(failed)[:SHOWN]}))
    return 0 if passed else 1


def read_report(path: Path) -> dict[str, str]:
    """Return how each test of a JUnit report ended: passed, failed, skipped or xfailed."""
    cases = ET.parse(path).iter("testcase")  # noqa: S314 - pytest wrote it a moment ago
    return {f"{case.get('classname')}::{case.get('name')}": _word(case) for case in cases}


def _word(case: ET.Element) -> str:
    found = next((part for part in case if part.tag in WORDS), None)
    if found is None:
        return "passed"
    return "xfailed" if found.get("type") == "pytest.xfail" else WORDS[found.tag]


def versions_found() -> dict[str, str]:
    """Return the versions of Python, the packages and the servers as they say themselves."""
    with redis.Redis.from_url(os.environ["RS_TEST_REDIS_URL"]) as client:
        server = client.info("server")
    url = urlsplit(os.environ["RS_TEST_AMQP_URL"])
    with Connection(f"{url.hostname}:{url.port}", userid=url.username, password=url.password) as connection:
        broker = connection.server_properties
    kind = str(server.get("server_name", "redis")).capitalize()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in DISTRIBUTIONS},
        "server": f"{kind} {server.get(f'{kind.lower()}_version', server['redis_version'])}",
        "broker": f"{broker['product']} {broker['version']}",
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
