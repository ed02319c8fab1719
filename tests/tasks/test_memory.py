"""Memory: refused inputs cost little; tables at their limits cost what docs/security.md says."""

from tests.tasks.memory import REFUSED, TABLES, TAKEN, body, bounds_mib

REFUSED_MAX_MIB = 64


def test_tables_over_a_cap_cost_little(measured):
    said = measured(TABLES, body(REFUSED), timeout_s=500)["said"]

    assert said.keys() == REFUSED.keys()
    assert [one for one in said.items() if not isinstance(one[1][0], str) or one[1][1] >= REFUSED_MAX_MIB] == []


def test_tables_at_a_cap_keep_their_memory_bound(measured):
    said = measured(TABLES, body(TAKEN), timeout_s=500)["said"]

    assert said.keys() == TAKEN.keys()
    bounds = {name: bounds_mib()[case.task] for name, case in TAKEN.items()}
    assert [(name, one) for name, one in said.items() if not isinstance(one[0], int) or one[1] >= bounds[name]] == []
