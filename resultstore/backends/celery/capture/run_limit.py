"""RunLimit: fails a task whose worker process was lost in each of its runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Task
from celery.exceptions import Ignore, WorkerLostError
from celery.signals import task_failure

from resultstore.capture import run_counts
from resultstore.index.index import Index
from resultstore.telemetry.logs import Log

_log = Log(__name__)


@contextmanager
def counted_run(task: Task, request: Any, index: Index, *, max_runs: int) -> Iterator[None]:  # noqa: ANN401 - Celery's Context
    """Count this run while it lasts; after any end but the loss of its process, the run is not counted.

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
    redelivered = _is_redelivered(request)
    with run_counts.counted_run(index, request.id, is_redelivered=redelivered, max_runs=max_runs) as may_run:
        if not may_run:
            _fail(task, request, runs=max_runs)
            raise Ignore
        yield


def _fail(task: Task, request: Any, *, runs: int) -> None:  # noqa: ANN401 - Celery's Context
    """Store the failure as a worker does for a lost process (celery/worker/request.py, `on_failure`)."""
    _log.warning("run_limit_reached", id=request.id, task=task.name, runs=runs)
    error = WorkerLostError(run_counts.lost_message(task.name, request.id, runs=runs))
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
