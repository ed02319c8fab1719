"""Suite plugin: lets Celery's own tests run over resultstore, and writes their outcomes."""

import json
import os
from functools import partialmethod, wraps
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery.app.backends import BACKEND_ALIASES
from celery.app.control import Inspect
from celery.contrib.testing.manager import ManagerMixin
from matrix import BACKENDS
from verdict import racy_tests

BACKEND_CLASS = "resultstore.backends.celery.backend:ResultStoreBackend"


class Outcomes:
    """Writes a JSON line when a test starts or ends, so that an interrupted run has its outcomes so far."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write that the test has started."""
        self._write(nodeid, outcome="unfinished")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the outcome of one phase; of passed phases, only that of the test itself."""
        outcome = outcome_of(report)
        if report.when == "call" or outcome != "passed":
            why = str(report.longrepr or "")[-400:]
            self._write(report.nodeid, outcome=outcome, took_s=round(report.duration, 3), why=why)

    def _write(self, nodeid: str, *, outcome: str, took_s: float = 0, why: str = "") -> None:
        told = {"test": nodeid, "outcome": outcome, "took_s": took_s, "why": why}
        with self._path.open("a") as file:
            file.write(json.dumps(told) + "\n")


class Authenticated(redis.Redis):
    """A client with the password of the run's Redis: the suite's own helper knows a host and a port only."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        if "host" in kwargs:
            kwargs.setdefault("password", os.environ["CONFORMANCE_REDIS_PASSWORD"])
        super().__init__(*args, **kwargs)


def pytest_configure(config: pytest.Config) -> None:
    """Name the backends as an entry point would, and set every app up when the run asks for it."""
    config.pluginmanager.register(Outcomes(Path(os.environ["CONFORMANCE_OUTCOMES"])))
    BACKEND_ALIASES.update(dict.fromkeys(BACKENDS, BACKEND_CLASS))
    redis.StrictRedis = Authenticated
    if os.environ.get("CONFORMANCE_SETUP"):
        _set_up_every_app()
    if os.environ.get("CONFORMANCE_HURRY"):
        _take_the_first_answer_for_idle()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that race with themselves as Celery marks its own flaky ones."""
    racy = racy_tests(Path(__file__).with_name("exceptions.toml"))
    for item in items:
        if item.nodeid.rpartition("/")[2] in racy:
            item.add_marker(pytest.mark.flaky(reruns=5))


def outcome_of(report: pytest.TestReport) -> str:
    """passed, failed, skipped, xfailed, xpassed or rerun. A strict expected failure that passes counts as xpassed."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed and str(report.longrepr).startswith("[XPASS(strict)]"):
        return "xpassed"
    return report.outcome


def _set_up_every_app() -> None:
    from resultstore.backends.celery.setup import setup  # noqa: PLC0415 - the control run loads nothing of ours

    make = Celery.__init__

    @wraps(make)
    def make_and_set_up(self: Celery, *args: object, **kwargs: object) -> None:
        make(self, *args, **kwargs)
        setup(self)

    Celery.__init__ = make_and_set_up


def _take_the_first_answer_for_idle() -> None:
    # After each test the suite asks all workers whether they are idle and listens for a second (`Inspect.timeout`);
    # there is one worker. That second is a third of the time of CI's selection.
    wait = ManagerMixin.wait_until_idle

    @wraps(wait)
    def wait_for_one(self: ManagerMixin) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Inspect, "__init__", partialmethod(Inspect.__init__, limit=1))
            wait(self)

    ManagerMixin.wait_until_idle = wait_for_one
