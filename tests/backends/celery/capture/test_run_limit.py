# ruff: noqa: ARG002 - the doubles take what the real ones take
"""Run limit: which runs are counted, and what happens when Redis does not answer."""

from types import SimpleNamespace

import pytest
from celery.exceptions import Ignore

from resultstore.backends.celery.capture.run_limit import counted_run
from resultstore.model.errors import IndexUnavailable


class CountingIndex:
    """An index that counts as Redis does: one member for each run that has not ended."""

    def __init__(self, *, lost_runs: int = 0) -> None:
        self.runs = {f"lost {n}" for n in range(lost_runs)}
        self.calls = 0
        self.keys = self

    def run_script(self, script, *, keys, args):
        self.calls += 1
        if args:
            self.runs.add(args[0])
            return [len(self.runs)]
        self.runs.clear()
        return []


class AwayIndex:
    def __init__(self) -> None:
        self.keys = self

    def run_script(self, script, *, keys, args):
        raise IndexUnavailable("redis is away: start it")


class FailingBackend:
    def __init__(self) -> None:
        self.failed: list[str] = []

    def mark_as_failure(self, task_id, error, **_):
        self.failed.append(f"{task_id}: {error}")


@pytest.fixture
def task() -> SimpleNamespace:
    return SimpleNamespace(name="jobs.work", backend=FailingBackend(), store_errors_even_if_ignored=False)


def request(*, redelivered: bool) -> SimpleNamespace:
    return SimpleNamespace(
        id="job", delivery_info={"redelivered": redelivered}, ignore_result=False, args=(), kwargs={}
    )


def test_first_delivery_sends_no_command(task):
    index = CountingIndex()

    with counted_run(task, request(redelivered=False), index, max_runs=3):
        pass

    assert index.calls == 0


def test_run_that_ends_is_not_counted(task):
    index = CountingIndex(lost_runs=1)

    with pytest.raises(KeyError), counted_run(task, request(redelivered=True), index, max_runs=3):
        assert len(index.runs) == 2
        raise KeyError

    assert index.runs == set()


@pytest.mark.parametrize(("max_runs", "lost_runs"), [(3, 3), (1, 1), (2, 5)])
def test_run_past_the_limit_is_refused(task, max_runs: int, lost_runs: int):
    index = CountingIndex(lost_runs=lost_runs - 1)

    with (
        pytest.raises(Ignore),
        counted_run(task, request(redelivered=True), index, max_runs=max_runs),
    ):
        pytest.fail("the body ran")

    [failure] = task.backend.failed
    assert failure.startswith(f"job: jobs.work job was started {max_runs} times")
    assert index.runs == set(), "an id that is sent again starts from zero"


def test_no_limit_runs_always(task):
    index = CountingIndex(lost_runs=50)
    ran = False

    with counted_run(task, request(redelivered=True), index, max_runs=0):
        ran = True

    assert ran


def test_task_runs_while_redis_is_away(task):
    ran = False

    with counted_run(task, request(redelivered=True), AwayIndex(), max_runs=3):
        ran = True

    assert ran
