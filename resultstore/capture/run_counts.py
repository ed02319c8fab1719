"""RunCounts: counts the runs of a task that lost their worker process, for messages that a broker redelivers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

from resultstore.index.index import Index, ScriptRunner
from resultstore.model import layout
from resultstore.model.errors import IndexUnavailable
from resultstore.telemetry.logs import Log

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


class RunCounts:
    """Counts the runs of redelivered messages that have not ended, next to their records.

    A run that ends in any way but the loss of its process is forgotten. The first delivery of a message counts as one
    run without a command.

    Args:
        index: stores the counts. One without scripts lives in a single process, and its counts would be lost with it.
    """

    def __init__(self, index: Index) -> None:
        self._scripts = index.keys if isinstance(index.keys, ScriptRunner) else None

    def begin(self, task_id: str) -> int:
        """Count a run of a redelivered message; return its number, from 2 on, or 1 where Redis does not answer."""
        if self._scripts is None:
            return 1
        try:
            [runs] = self._scripts.run_script(
                _COUNT, keys=[layout.runs_key(task_id)], args=[layout.new_nonce(), COUNT_LIFE_S]
            )
        except IndexUnavailable as error:  # an unknown count is no reason to fail a task
            _log.warning("run_not_counted", id=task_id, error=str(error))
            return 1
        return 1 + cast("int", runs)

    def end(self, task_id: str) -> None:
        """Delete the count of a task, because one of its runs has ended."""
        if self._scripts is None:
            return
        try:
            self._scripts.run_script(_FORGET, keys=[layout.runs_key(task_id)], args=[])
        except IndexUnavailable as error:
            _log.warning("run_count_not_deleted", id=task_id, error=str(error))


@contextmanager
def counted_run(index: Index, task_id: str, *, is_redelivered: bool, max_runs: int) -> Iterator[bool]:
    """Count this run while it lasts, and yield whether the task may run once more.

    Only redelivered messages are counted, so that the usual run costs no command.

    Args:
        index: stores the count.
        task_id: whose run begins.
        is_redelivered: what the broker says about the message.
        max_runs: how many runs may lose their worker process; 0 for no limit.
    """
    if not max_runs or not is_redelivered:
        yield True
        return
    counts = RunCounts(index)
    try:
        yield counts.begin(task_id) <= max_runs
    finally:
        counts.end(task_id)


def lost_message(task: str, task_id: str, *, runs: int) -> str:
    """Return why a task is not run once more."""
    return (
        f"{task} {task_id} was started {runs} times, and each time its worker process was lost (killed, out of memory, "
        "or its machine stopped): read the worker's log, then send it again"
    )
