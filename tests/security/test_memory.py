"""Memory: the largest input of each task needs no more memory than docs/security.md says."""

import pytest

from tests.tasks.conftest import measured
from tests.tasks.memory import LARGE, REFUSED, TAKEN, body, bounds_mib

__all__ = ["measured"]  # the fixture

CHILDREN = {"pdf.cover", "video.preview"}
"""Tasks that work in a child process."""


def test_every_task_that_reads_files_has_a_bound():
    assert {case.task for case in (REFUSED | TAKEN | LARGE).values()} == set(bounds_mib())


@pytest.mark.timeout(2600)
@pytest.mark.parametrize("name", LARGE)
def test_the_largest_input_keeps_its_memory_bound(measured, name):
    case = LARGE[name]

    spent = measured(case.imports, body({name: case}), timeout_s=2500)

    outcome, growth_mib = spent["said"][name]
    print(name, outcome, growth_mib, spent)  # noqa: T201 - with -s, the numbers for the table
    assert isinstance(outcome, int), outcome
    assert (spent["children_mib"] if case.task in CHILDREN else growth_mib) < bounds_mib()[case.task], spent
