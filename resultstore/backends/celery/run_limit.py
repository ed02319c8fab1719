"""RunLimit: fails a task whose worker process was lost in each of its runs, instead of running it again for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from celery import Task
from celery.exceptions import Ignore, WorkerLostError
from celery.signals import task_failure

from resultstore.index.index import Index, RunsScripts
from resultstore.logs import Log
from resultstore.model import layout
from resultstore.model.errors import IndexUnavailable

_log = Log(__name__)

COUNT_LIFE_S: Final = 7 * layout.DAY_S  # a broker may redeliver a message days later
# KEYS: a set with one random member for each run, so that a repeated call counts once.
# ARGV: the member; the life of the set in seconds. Returns the number of runs.
_COUNT: Final = """
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {redis.call('SCARD', KEYS[1])}
"""
_FORGET: Final = "redis.call('UNLINK', KEYS[1]) return {}"


@contextmanager
def counted_run(task: Task, request: Any, index: Index, *, max_runs: int) -> Iterator[None]:  # noqa: ANN401 - Celery's Context
    """Count this run while it lasts; a run that ends in any way but the loss of its process is not counted.

    Only redelivered messages are counted, so that the usual run costs no command. The first delivery counts as one run.
    The counter is stored next to the record, because brokers other than RabbitMQ's quorum queues keep none.

    Args:
        task: about to run.
        request: its message.
        index: stores the counter. One without scripts lives in a single process, and its counts would be lost with it.
        max_runs: how many runs may lose their process; 0 for no limit.

    Raises celery.exceptions.Ignore when `max_runs` runs were lost already: then the failure is stored, the errbacks are
    called, and the message is to be acknowledged. Any other error would be retried by Celery's autoretry.
    """
    if not max_runs or not _is_redelivered(request) or not isinstance(index, RunsScripts):
        yield
        return
    key = layout.runs_key(request.id)
    run = 1 + _count(index, key, id=request.id)
    try:
        if run > max_runs:
            _fail(task, request, runs=max_runs)
            raise Ignore
        yield
    finally:
        _forget(index, key, id=request.id)


def _fail(task: Task, request: Any, *, runs: int) -> None:  # noqa: ANN401 - Celery's Context
    """Store the failure as a worker does for a lost process (celery/worker/request.py, `on_failure`)."""
    _log.warning("run_limit_reached", id=request.id, task=task.name, runs=runs)
    error = WorkerLostError(
        f"{task.name} {request.id} was started {runs} times, and each time its worker process was lost (killed, out of "
        "memory, or its machine stopped): look into the worker's log, then send it again"
    )
    stored = not request.ignore_result or task.store_errors_even_if_ignored
    task.backend.mark_as_failure(request.id, error, request=request, store_result=stored)
    task_failure.send(
        sender=task,
        task_id=request.id,
        exception=error,
        args=request.args,
        kwargs=request.kwargs,
        traceback=None,
        einfo=None,
    )


def _is_redelivered(request: Any) -> bool:  # noqa: ANN401 - Celery's Context
    delivery = getattr(request, "delivery_info", None) or {}
    return bool(delivery.get("redelivered"))


def _count(index: RunsScripts, key: str, *, id: str) -> int:
    """Count a start; 0 where Redis does not answer: a task is not failed for what nobody can know."""
    try:
        [runs] = index.run_script(_COUNT, keys=[key], args=[layout.new_nonce(), COUNT_LIFE_S])
    except IndexUnavailable as error:
        _log.warning("run_not_counted", id=id, error=str(error))
        return 0
    return cast("int", runs)


def _forget(index: RunsScripts, key: str, *, id: str) -> None:
    try:
        index.run_script(_FORGET, keys=[key], args=[])
    except IndexUnavailable as error:
        _log.warning("run_count_not_deleted", id=id, error=str(error))
