"""The combinations of versions: tests/versions.toml, scripts/versions.py and the page that they make."""

import json
import sys

import pytest

import _combinations
import _versions_page
import one_combination
from _combinations import ROOT, Combination, combinations, keep_result, kept_results, servers
from _pins import VARIANTS
from versions import main, run_limited

MEASURED = {"date": "2026-12-01", "outcome": "passed", "tests": {"passed": 3}, "took_s": 60, "found": {}}
MISSING = {"date": "2026-12-02", "outcome": "not tested", "why": "no network"}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    path = tmp_path / "versions.json"
    monkeypatch.setattr(_combinations, "KEPT", path)
    return path


@pytest.mark.parametrize("one", combinations().values(), ids=lambda one: one.name)
def test_combination_names_what_exists(one: Combination):
    for args in one.pytest_args:
        assert all((ROOT / arg).exists() for arg in args if arg.startswith("tests/"))
    assert set(one.servers) <= servers().keys()
    assert all((VARIANTS / f"{name}.txt").exists() for name in one.packages if name != "celery-5.7.0")


def test_every_package_of_a_server_is_pinned():
    named = {entry["package"] for entry in servers().values() if entry.get("package")}
    assert all((VARIANTS / f"{name}.txt").exists() for name in named)
    assert all(len(entry["commit"]) == 40 for entry in servers().values() if "git" in entry)


def test_what_could_not_be_had_replaces_nothing_measured(kept):
    keep_result("redis-8.0", MEASURED)
    keep_result("redis-8.0", MISSING)
    keep_result("redis-7.2", MISSING)
    assert kept_results() == {"redis-7.2": MISSING, "redis-8.0": MEASURED}


def test_results_of_removed_combinations_are_dropped(kept):
    kept.write_text(json.dumps({"redis-1.0": MEASURED}))
    keep_result("redis-8.0", MEASURED)
    assert list(kept_results()) == ["redis-8.0"]


def test_page_says_what_was_not_tested(kept):
    keep_result("redis-8.0", MEASURED)
    keep_result("redis-7.2", MISSING)
    rows = {line.split(" | ")[0]: line for line in _versions_page.page().splitlines()}
    assert "3 passed, in 1.0 minutes | 2026-12-01" in rows["| redis-8.0"]
    assert "not tested: no network | 2026-12-02" in rows["| redis-7.2"]
    assert "not tested: not run yet" in rows["| valkey-8.1"]
    assert "| ci" not in rows


def test_failed_tests_are_counted_and_named(tmp_path):
    report = tmp_path / "report.xml"
    cases = {"a": "", "b": "<failure/>", "c": "<error/>", "d": "<skipped/>", "e": "<skipped type='pytest.xfail'/>"}
    listed = "".join(f'<testcase classname="m" name="{name}">{inside}</testcase>' for name, inside in cases.items())
    report.write_text(f"<testsuites><testsuite>{listed}</testsuite></testsuites>")
    assert one_combination.read_report(report) == {
        "m::a": "passed",
        "m::b": "failed",
        "m::c": "failed",
        "m::d": "skipped",
        "m::e": "xfailed",
    }


def test_combination_ends_at_its_time_limit(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(300)"]
    result = run_limited(command, target=tmp_path / "result", log=tmp_path / "log", limit_s=0.5)
    assert result["outcome"] == "timed out"


def test_run_without_a_result_has_failed(tmp_path):
    target = tmp_path / "result"
    target.write_text('{"outcome": "passed"}')  # of an earlier run
    result = run_limited([sys.executable, "-c", ""], target=target, log=tmp_path / "log", limit_s=60)
    assert result["outcome"] == "failed"


def test_unknown_combination_is_refused(capsys):
    assert main(["redis-1.0"]) == 2
    assert "no such combination: redis-1.0; there are celery-5.7.0" in capsys.readouterr().out
