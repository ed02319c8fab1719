"""doctor on a folder and a Redis: no problems, or each unreachable server by name."""


def test_the_doctor_finds_all_well(run):
    run("setup")

    done = run("doctor", "--json")

    assert {one["name"]: one["verdict"] for one in done.told} == dict.fromkeys(
        ("secret key", "index", "blobs", "write once", "layout", "clock", "broker"), "ok"
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
