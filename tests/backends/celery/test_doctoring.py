"""The doctor of a Celery app: it names the tasks that are not captured, and limits that do not fit each other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from celery import Celery, Task

from resultstore import Misconfigured
from resultstore.backends.celery import setup
from resultstore.backends.celery.backend_check import check_backend, names_other_index
from resultstore.backends.celery.doctoring import (
    check_capture,
    check_consumer_timeout,
    check_redelivery,
    check_visibility_timeout,
    find_app_named,
)
from resultstore.connect import connect
from resultstore.ops.doctor import Defect, Verdict
from resultstore.settings import Settings

HERE = Path(__file__).parent


@pytest.fixture
def app() -> Celery:
    return Celery("sick", broker="memory://", backend="resultstore+memory://?blobs=memory://", set_as_current=False)


def body() -> None:
    """Does nothing."""


class OwnCall(Task):
    def __call__(self) -> int:
        return 1


def test_tasks_are_captured_after_setup(app: Celery):
    setup(app)
    app.task(body, shared=False, name="plain")
    app.task(body, shared=False, name="called", base=OwnCall)
    app.task(body, shared=False, name="retried", autoretry_for=(OSError,))

    assert isinstance(check_capture(app), str)


def test_app_without_setup_gets_a_warning(app: Celery):
    app.task(body, shared=False, name="alone")

    found = check_capture(app)

    assert isinstance(found, Defect)
    assert found.verdict is Verdict.WARNING
    assert "alone" in found.text
    assert "setup(app)" in found.remedy


@pytest.mark.parametrize("with_setup", [True, False])
@pytest.mark.parametrize("backend", ["cache+memory://", "disabled://"])
def test_another_result_backend_is_wrong(backend: str, with_setup: bool):
    other = Celery("other", broker="memory://", backend=backend, set_as_current=False)
    if with_setup:
        setup(other)

    found = check_backend(other)

    assert isinstance(found, Defect)
    assert found.verdict is Verdict.WRONG
    assert "not by resultstore" in found.text
    assert "resultstore+" in found.remedy


def test_backend_that_cannot_be_made_is_wrong():
    found = check_backend(Celery("other", broker="memory://", backend="no_such_module:Backend", set_as_current=False))

    assert isinstance(found, Defect)
    assert (found.verdict, "result_backend" in found.remedy) == (Verdict.WRONG, True)


@pytest.mark.parametrize(
    ("variable", "other"),
    [
        ("redis://127.0.0.1:6379/0", False),  # the default counts as not set
        ("redis://localhost/3", False),
        ("redis://:secret@127.0.0.1:6379/3", False),
        ("redis://127.0.0.1:6379/3?socket_timeout=5", False),
        ("redis://127.0.0.1:6379/?db=3", False),
        ("redis://127.0.0.1:6379/4", True),
        ("redis://127.0.0.1:6380/3", True),
        ("redis://elsewhere:6379/3", True),
        ("rediss://127.0.0.1:6379/3", True),
    ],
)
def test_other_index_of_the_environment_is_found(variable: str, other: bool):
    store = connect(Settings(index_url="redis://127.0.0.1:6379/3", blobs_url="memory://"))

    assert names_other_index(Settings(index_url=variable), store) is other


@pytest.mark.parametrize("how", ["run", "class", "registry"])
def test_task_that_was_changed_later_is_reported(app: Celery, how: str):
    setup(app)
    app.task(body, shared=False, name="healthy")
    app.task(body, shared=False, name="patched")
    task = app.tasks["patched"]
    if how == "run":
        task.run = lambda: None
    elif how == "class":
        task.__class__ = type("Patched", (type(task),), {"__call__": OwnCall.__call__})
    else:
        dict.__setitem__(app.tasks, "patched", OwnCall())

    found = check_capture(app)

    assert isinstance(found, Defect)
    assert "patched" in found.text
    assert "healthy" not in found.text


@pytest.mark.parametrize(
    ("setting", "limit_s", "well"),
    [({}, None, False), ({}, 7_000, False), ({}, 600, True), ({"resultstore_consumer_timeout_s": 8_000}, 7_000, True)],
)
def test_late_acknowledged_task_must_end_before_consumer_timeout(
    app: Celery, setting: dict[str, object], limit_s: int | None, well: bool
):
    app.conf.update(setting, task_time_limit=limit_s)
    app.task(body, shared=False, name="late", acks_late=True)
    app.task(body, shared=False, name="early")

    found = check_consumer_timeout(app)

    if well:
        assert isinstance(found, str)
    else:
        assert (found.verdict, "late" in found.text, "early" in found.text) == (Verdict.WARNING, True, False)
        assert "consumer_timeout" in found.remedy


def test_redis_broker_must_not_redeliver_a_running_task(app: Celery):
    app.task(body, shared=False, name="late", acks_late=True, time_limit=3_700)

    assert "late" in check_visibility_timeout(app).text
    app.conf.broker_transport_options = {"visibility_timeout": 7_200}
    assert isinstance(check_visibility_timeout(app), str)


def test_redelivery_of_a_redis_broker_is_chosen(app: Celery):
    assert check_redelivery(app).startswith("0 tasks")
    setup(app, delivery="at-least-once")
    app.task(body, shared=False, name="safe")
    app.task(body, shared=False, name="early", acks_late=False)

    found = check_redelivery(app)

    assert isinstance(found, Defect)
    assert found.verdict is Verdict.WARNING
    assert ("safe" in found.text, "early" in found.text, "3600 s" in found.text) == (True, False, True)
    assert "visibility_timeout" in found.remedy
    app.conf.broker_transport_options = {"visibility_timeout": 120}
    assert "120 s" in check_redelivery(app)


def test_an_app_that_is_not_there_is_named():
    with pytest.raises(Misconfigured, match="no_such_module"):
        find_app_named("no_such_module")


def test_command_checks_the_app_it_is_given(environment: dict[str, str]):
    done = subprocess.run(
        [sys.executable, "-m", "resultstore.cli", "doctor", "--json", "--app", "worker_app"],
        cwd=HERE, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    findings = {one["name"]: one for one in json.loads(done.stdout)}
    assert findings["tasks captured"]["verdict"] == "ok"
    assert findings["consumer timeout"]["verdict"] == "ok"
