"""The outcomes: what is made of what the plugin writes."""

import json
from pathlib import Path

import dramatiq_suite
from matrix import CI_PARTS, CI_RUNS, runs
from suite_process import Outcome, read_outcomes
from verdict import exempt_tests

TEST = "t/integration/test_canvas.py::test_chord::test_x"
NAME = TEST.removeprefix("t/integration/")


def lines(*outcomes):
    return [json.dumps({"test": TEST, "outcome": one, "why": f"because {one}"}) for one in outcomes]


def test_unfinished_test_has_failed():
    assert read_outcomes(lines("unfinished"))[0] == {NAME: "failed"}


def test_test_passing_on_rerun_has_passed():
    assert read_outcomes(lines("unfinished", "rerun", "passed"))[0] == {NAME: "passed"}


def test_interrupted_rerun_has_failed():
    assert read_outcomes(lines("unfinished", "rerun"))[0] == {NAME: "failed"}


def test_a_failure_in_one_phase_or_subtest_decides():
    assert read_outcomes(lines("unfinished", "failed", "passed"))[0] == {NAME: "failed"}
    assert read_outcomes(lines("unfinished", "passed", "failed"))[0] == {NAME: "failed"}


def test_first_of_several_reasons_is_reported():
    assert read_outcomes(lines("unfinished", "failed", "failed"))[1] == {NAME: "because unfinished"}


def test_counts_have_the_reports_five_words():
    counts = Outcome({"a": "passed", "b": "failed", "c": "xpassed"}, {}, "", 1.0).counts()
    assert counts == {"passed": 1, "failed": 1, "skipped": 0, "xfailed": 0, "xpassed": 1}


def test_matrix_has_all_names_thresholds_and_ways():
    assert len(runs()) == 2 * 2 * 2 + 1
    assert set(CI_RUNS) <= runs().keys() | dramatiq_suite.RUNS.keys()
    assert len(set(CI_PARTS)) == len(CI_PARTS)


def test_exceptions_name_existing_runs():
    for one in exempt_tests(Path(__file__).with_name("exceptions.toml")):
        assert any(one.covers(run) for run in (*runs(), *dramatiq_suite.RUNS)), one


def test_dramatiq_report_counts_a_skip_as_failure(tmp_path):
    report = tmp_path / "report.xml"
    cases = {"a": "", "b": "<failure/>", "c": "<error/>", "d": "<skipped/>", "e": "<system-out/>"}
    listed = "".join(f'<testcase name="{name}">{inside}</testcase>' for name, inside in cases.items())
    report.write_text(f"<testsuites><testsuite>{listed}</testsuite></testsuites>")
    words = ("passed", "failed", "failed", "failed", "passed")
    assert dramatiq_suite.read_report(report) == {
        f"test_results.py::{name}": word for name, word in zip(cases, words, strict=True)
    }
