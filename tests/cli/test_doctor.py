"""doctor on a folder and a Redis: no problems, or each unreachable server by name."""

import io

from rich.console import Console

from resultstore.blobs.s3.probe import S3Probes
from resultstore.cli.doctor import CHECKS, FindingRows
from resultstore.ops.doctor import Finding, Verdict, capability_probes


def test_the_doctor_finds_all_well(run):
    run("setup")

    done = run("doctor", "--json")

    assert {one["name"]: one["verdict"] for one in done.told} == dict.fromkeys(
        (
            *("settings", "certificates", "secret key", "index", "blobs", "write once", "layout", "clock"),
            *("index memory", "broker"),
        ),
        "ok",
    )
    assert done.code == 0


def test_doctor_names_each_unreachable_server(run):
    away = {
        "RESULTSTORE_INDEX_URL": "redis://127.0.0.1:1/0",
        "RESULTSTORE_BROKER_URL": "amqp://a:hunter2@127.0.0.1:1//",
    }

    done = run("doctor", "--json", **away)

    wrong = {one["name"]: one for one in done.told if one["verdict"] == "wrong"}
    assert done.code == 1
    assert wrong.keys() == {"index", "broker"}
    assert all(one["remedy"] for one in wrong.values())
    assert "hunter2" not in done.out.decode() + done.err


def test_doctor_survives_an_unknown_broker_scheme(run):
    done = run("doctor", "--json", RESULTSTORE_BROKER_URL="pigeon://coop")

    assert done.code == 1
    assert "pigeon" in next(one["text"] for one in done.told if one["name"] == "broker")


def test_every_check_of_a_bucket_has_a_label():
    names = capability_probes(S3Probes.__new__(S3Probes)).keys()  # no server is asked before a probe is called

    assert len(names) > 8
    assert names == {name for name in CHECKS if name.startswith("store ")}


def test_narrow_terminal_cuts_no_name(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr("resultstore.cli.doctor.out", lambda: Console(width=70, file=written))
    name = "RESULTSTORE_S3_UPLOAD_SIGN_ACCESS_KEY"

    FindingRows({"store refuses urls from the future": None}).show(
        Finding(name="settings", verdict=Verdict.WARNING, text=name, remedy=f"set {name}")
    )

    rows = [line.split() for line in written.getvalue().splitlines()[1:]]
    assert "".join(one for row in rows for one in row).count("_") == 2 * name.count("_")
    assert "…" not in written.getvalue()


def test_doctor_prints_a_table_for_people(run):
    run("setup")

    done = run("doctor")

    assert "Check" in done.out.decode().splitlines()[0]
    assert "no problems found" in done.err
