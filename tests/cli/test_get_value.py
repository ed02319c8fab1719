"""`resultstore get` of a task whose outcome is a plain value."""

import base64
import json
import uuid

import pytest
from celery import Celery
from celery.app.trace import build_tracer

from resultstore.backends.celery import setup
from resultstore.model.result import Result, State

SMALL = {"total": 12, "note": "zwölf \x07"}
LARGE = {"rows": [f"row {number}" for number in range(30_000)]}


@pytest.fixture
def returned(place, monkeypatch):
    """Run a task that returns `value`, in an app that was adopted by one line; returns the task's id."""
    for name, text in place.variables().items():
        monkeypatch.setenv(name, text)

    def run_task(value: object, **conf: object) -> str:
        app = Celery("shop", broker="memory://", backend=f"resultstore+{place.redis_url}", set_as_current=False)
        app.conf.update(accept_content=["json", "yaml", "msgpack"], result_accept_content=["json", "yaml", "msgpack"])
        app.conf.update(conf)
        setup(app)

        def work() -> object:
            return value

        task = app.task(name="shop.work")(work)
        made = uuid.uuid4().hex
        request = {"id": made, "is_eager": False, "delivery_info": {}}
        build_tracer(task.name, task, app=app)(made, (), {}, request)
        return made

    return run_task


@pytest.mark.parametrize("value", [SMALL, LARGE, None, 0, 2**70], ids=["small", "spilled", "none", "zero", "big int"])
def test_value_is_written_as_encoded(place, run, returned, value):
    made = returned(value)

    printed, saved = run("get", made), run("get", made, "-o", "value.json")

    assert (printed.code, saved.code) == (0, 0), printed.err + saved.err
    assert json.loads(printed.out) == value
    assert (place.folder / "value.json").read_bytes() == printed.out


@pytest.mark.parametrize("value", [SMALL, LARGE], ids=["small", "spilled"])
def test_json_says_that_it_is_a_value(place, run, returned, value):
    made = returned(value)

    shown, saved, raw = run("get", made, "--json"), run("get", made, "-o", ".", "--json"), run("get", made, "-o", "-")

    facts = {"kind": "value", "id": made, "media_type": "application/json", "size_bytes": len(raw.out)}
    assert shown.told == facts | {"value": raw.out.decode()}
    assert saved.told == facts | {"path": f"{made}.json"}
    assert (place.folder / f"{made}.json").read_bytes() == raw.out
    assert run("get", made, "-o", ".").code == 2  # replaces nothing in a folder


@pytest.mark.parametrize("value", [LARGE, ["small"] * 9], ids=["spilled", "small"])
def test_compressed_value_is_plain(run, returned, value):
    done = run("get", returned(value, result_compression="gzip"))

    assert (done.code, json.loads(done.out)) == (0, value)


def test_value_in_msgpack_is_resolved(run, returned):
    small, large = (returned(value, result_serializer="msgpack") for value in ([1, 255], LARGE))

    shown, written = run("get", small, "--json"), run("get", large)

    assert base64.b64decode(shown.told["value_base64"]) == b"\x92\x01\xcc\xff"
    assert b"row 29999" in written.out


def test_reference_in_yaml_is_never_the_value(run, returned):
    done = run("get", returned(LARGE, result_serializer="yaml"))

    assert (done.code, done.out) == (1, b"")
    assert "AsyncResult" in done.err


def test_expired_value_says_so(place, run, returned):
    made = returned(LARGE)
    store = place.store()
    for one in list(store.blobs.list("blobs/")):
        store.blobs.delete([one.key])

    done = run("get", made, "-o", "value.json")

    assert (done.code, done.out) == (3, b"")
    assert "deleted before its time" in done.err
    assert not (place.folder / "value.json").exists()


def test_failure_and_named_artifact_have_no_value(place, run, returned):
    failed, made = uuid.uuid4().hex, returned(SMALL)
    place.store().save(Result(id=failed, state=State.FAILURE, value=b'{"exc_type": "ValueError"}'))

    no_value, no_artifact = run("get", failed), run("get", made, "report")

    assert [no_value.code, no_artifact.code] == [3, 3]
    assert "no artifacts and no value" in no_value.err
    assert "no artifact report" in no_artifact.err


def test_artifact_is_named_as_one(place, run):
    made = uuid.uuid4().hex
    place.store().put(b"new", name="a.txt", id=made)

    assert run("get", made, "--json").told["kind"] == "artifact"
