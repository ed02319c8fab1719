"""The verdict: what makes the command fail."""

import pytest
from verdict import Exempt, complaints, exempt_tests, never_met, racy_tests

LISTED = Exempt("test_canvas.py::test_chord::test_x", ("redisresultstore-*",), "a reason")


def test_unlisted_failure_is_reported():
    assert complaints("resultstore-default-url", {LISTED.test: "failed"}, [LISTED]) == [
        f"resultstore-default-url: {LISTED.test} failed"
    ]


def test_a_failure_says_why():
    [complaint] = complaints("resultstore-default-url", {LISTED.test: "failed"}, [], why={LISTED.test: "E   1 == 2"})
    assert complaint.endswith(f"{LISTED.test} failed\n    E   1 == 2")


def test_listed_failure_covers_all_parameters():
    assert complaints("redisresultstore-default-url", {f"{LISTED.test}[1]": "failed"}, [LISTED]) == []


@pytest.mark.parametrize("outcome", ["passed", "xpassed"])
def test_listed_test_that_passes_is_reported(outcome):
    [complaint] = complaints("redisresultstore-default-url", {LISTED.test: outcome}, [LISTED])
    assert "take it out" in complaint


@pytest.mark.parametrize("outcome", ["passed", "skipped", "xfailed", "xpassed"])
def test_unlisted_passing_tests_are_fine(outcome):
    assert complaints("resultstore-default-url", {LISTED.test: outcome}, []) == []


def test_listed_test_that_is_missing_is_reported():
    [complaint] = never_met("redisresultstore-default-url", ["test_canvas.py::test_chord::test_y"], [LISTED])
    assert LISTED.test in complaint
    assert never_met("redisresultstore-default-url", [f"{LISTED.test}[1]"], [LISTED]) == []


@pytest.mark.parametrize(("kind", "read"), [("exception", exempt_tests), ("racy", racy_tests)])
def test_every_entry_of_the_list_needs_a_reason(tmp_path, kind, read):
    listed = tmp_path / "exceptions.toml"
    listed.write_text(f'[[{kind}]]\ntest = "x"\nruns = ["*"]\nreason = " "\n')
    with pytest.raises(ValueError, match="reason"):
        read(listed)
    listed.write_text(f'[[{kind}]]\ntest = "x"\nruns = ["*"]\nreason = "so it is"\n')
    assert len(read(listed)) == 1


def test_failure_with_stock_software_is_no_difference():
    found = complaints("resultstore-default-url", {"a": "failed", "b": "failed"}, [], stock={"a"})
    assert found == ["resultstore-default-url: b failed"]


def test_entry_covers_the_named_versions_only(tmp_path):
    listed = tmp_path / "exceptions.toml"
    listed.write_text('[[exception]]\ntest = "x"\nruns = ["*"]\nreason = "so it is"\ncelery = ["5.4.*"]\n')
    assert [len(exempt_tests(listed, celery=celery)) for celery in ("5.4.0", "5.5.3", "")] == [1, 0, 1]
