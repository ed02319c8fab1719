"""doctor --app: the servers of the app's result backend, and whether the environment names the same ones."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Done, Place, run_in

Examined = Callable[..., tuple[Done, dict[str, Any]]]

APP = """
from celery import Celery
from resultstore.backends.celery import setup

app = Celery("shop", broker={broker!r}, backend={backend!r})
if {with_setup}:
    setup(app)

@app.task
def report():
    return b""
"""


@pytest.fixture
def examined(place: Place) -> Examined:
    """Run `doctor --app` on an app with this backend, in an environment without RESULTSTORE_INDEX_URL."""

    def examine(backend: str, *, with_setup: bool = True, **variables: str) -> tuple[Done, dict[str, Any]]:
        text = APP.format(broker=place.redis_url, backend=backend, with_setup=with_setup)
        (place.folder / "shop.py").write_text(text)
        environment = place.variables()
        del environment["RESULTSTORE_INDEX_URL"], environment["RESULTSTORE_BROKER_URL"]
        run_in(place.folder, environment | {"RESULTSTORE_INDEX_URL": "memory://"}, "setup")
        done = run_in(place.folder, environment | variables, "doctor", "--json", "--app", "shop")
        return done, {one["name"]: one for one in done.told}

    return examine


def test_index_is_that_of_the_app(examined: Examined, place: Place):
    done, found = examined(f"resultstore+{place.redis_url}")

    assert {one["verdict"] for one in found.values()} == {"ok"}, found
    assert done.code == 0
    assert not found.keys() & {"same index", "index of the app"}
    assert re.fullmatch(r"resultstore, index redis://.*", found["result backend"]["text"])


def test_unreachable_index_of_the_app_is_wrong(examined: Examined):
    done, found = examined("resultstore+redis://127.0.0.1:1/0")

    assert [name for name, one in found.items() if one["verdict"] == "wrong"] == ["index"]
    assert "127.0.0.1:1" in found["index"]["text"]
    assert "the app's result_backend" in found["index"]["remedy"]
    assert found["index"]["skipped"] == ["index memory"]
    assert done.code == 1


def test_both_indexes_are_checked_if_they_differ(examined: Examined, place: Place):
    done, found = examined("resultstore+redis://127.0.0.1:1/0", RESULTSTORE_INDEX_URL=place.redis_url)

    assert found["index"]["verdict"] == "ok"
    assert found["index of the app"]["verdict"] == "wrong"
    assert found["same index"]["verdict"] == "warning"
    assert "RESULTSTORE_INDEX_URL" in found["same index"]["remedy"]
    assert done.code == 1


def test_app_without_setup_is_a_warning(examined: Examined, place: Place):
    done, found = examined(f"resultstore+{place.redis_url}", with_setup=False)

    assert {name: one["verdict"] for name, one in found.items() if one["verdict"] != "ok"} == {
        "tasks captured": "warning"
    }
    assert "setup(app)" in found["tasks captured"]["remedy"]
    assert done.code == 0


def test_app_on_plain_redis_is_wrong(examined: Examined, place: Place):
    done, found = examined(place.redis_url, RESULTSTORE_INDEX_URL=place.redis_url)

    assert [name for name, one in found.items() if one["verdict"] == "wrong"] == ["result backend"]
    assert "RedisBackend" in found["result backend"]["text"]
    assert "tasks captured" not in found
    assert done.code == 1
