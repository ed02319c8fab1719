"""Sends a task again, and revokes one, for the admin's buttons."""

from celery import Celery
from celery.result import AsyncResult

from resultstore.model.errors import Refused
from resultstore.model.headers import OWNER_HEADER
from resultstore.model.result import Result


def send_again(before: AsyncResult, result: Result) -> str:
    """Send the task of a result again for the same owner; return the id of the new result.

    Args:
        before: the result as Celery sees it, with the arguments that it kept.
        result: the result as the store sees it.

    Raises Refused if the task still runs, or its arguments were not kept.
    """
    if not result.terminal:
        raise Refused(f"result {result.id} has not ended: revoke it first, or wait")
    if not result.task or before.args is None:
        raise Refused(f"the arguments of result {result.id} were not kept: set CELERY_RESULT_EXTENDED = True")
    headers = {OWNER_HEADER: result.owner} if result.owner else {}
    queue = {"queue": before.queue} if before.queue else {}
    sent = before.app.send_task(result.task, before.args, before.kwargs or {}, headers=headers, **queue)
    return str(sent.id)


def revoke_task(app: Celery, result: Result) -> None:
    """Ask the workers to skip the task, or to end it. Raises Refused if it has ended."""
    if result.terminal:
        raise Refused(f"result {result.id} has ended ({result.state}): it cannot be revoked")
    app.control.revoke(result.id, terminate=True)
