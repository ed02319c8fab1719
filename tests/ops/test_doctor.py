"""Doctor: what a probe comes to, whatever it does."""

from resultstore.model.errors import BlobStoreUnavailable, IndexUnavailable
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


def test_checks_that_need_a_failed_one_are_skipped():
    made = []

    def away() -> str:
        raise BlobStoreUnavailable("the store is away: start it")

    probes = {
        "blobs": away,
        "write once": lambda: made.append("write once") or "fine",
        "index": lambda: Defect("bad", "mend it"),
        "memory": lambda: made.append("memory") or "fine",
    }

    found = list(examine(probes, requires={"write once": "blobs", "memory": "index"}))

    assert [one.name for one in found] == ["blobs", "index", "memory"]
    assert found[0].skipped == ("write once",)
    assert made == ["memory"]


def test_report_of_a_check_holds_no_password():
    def fails() -> str:
        raise ValueError("amqp://ann:hunter2@host refuses")

    [found] = examine({"broker": fails})

    assert "hunter2" not in found.text
    assert "amqp://ann" in found.text
