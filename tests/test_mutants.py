"""Mutants: every deliberate fault of tests/mutants.toml still fits the source, so that `make mutants` can apply it."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FAULTS = tomllib.loads((ROOT / "tests/mutants.toml").read_text())["fault"]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["name"])
def test_fault_applies_once_and_names_tests(fault):
    source = (ROOT / fault["file"]).read_text()
    files = [one.partition("::") for one in fault["tests"]]

    assert source.count(fault["old"]) == 1
    assert fault["new"] != fault["old"]
    assert files
    assert [name for name, _, _ in files if not (ROOT / name).exists()] == []
    assert [test for name, _, test in files if test.partition("[")[0] not in (ROOT / name).read_text()] == []
