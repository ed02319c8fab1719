"""Doctor: what a probe comes to, whatever it does."""

from resultstore.model.errors import IndexUnavailable
from resultstore.ops.doctor import Defect, Verdict, examine


def test_failing_probe_does_not_stop_the_next():
    def away() -> str:
        raise IndexUnavailable("Redis is away: start it")

    def broken() -> str:
        raise ValueError("no error of ours")

    probes = {"away": away, "broken": broken, "wrong": lambda: Defect("bad", "mend it"), "well": lambda: "fine"}

    found = {one.name: (one.verdict, one.text) for one in examine(probes)}

    assert found["away"] == (Verdict.WRONG, "Redis is away")
    assert found["broken"][0] is Verdict.WRONG
    assert "no error of ours" in found["broken"][1]
    assert found["well"] == (Verdict.OK, "fine")
