"""Announcing: what is said of a task around the sending of its message."""

import threading
import time
from collections.abc import Callable
from typing import Final

from celery._state import task_join_will_block
from celery.backends.base import BaseKeyValueStoreBackend
from celery.signals import after_task_publish

from resultstore.backends.celery.owners import inherited
from resultstore.backends.celery.wait.consumer import ResultConsumer
from resultstore.index.index import Hints, Over
from resultstore.model.result import Result, State
from resultstore.store import Store

SENT: Final = "SENT"  # a state of ours, before PENDING's successors: a message is on its way


class AnnouncesTasks(BaseKeyValueStoreBackend):
    """The half of the backend that is called where a task is sent."""

    store: Store
    result_consumer: ResultConsumer
    expires: int | None
    listens: bool  # whether whoever sends a task hears of its result
    tracks_sent: bool  # whether an id that was sent is told from an unknown one
    sent: "Sent"

    def on_task_call(self, producer: object, task_id: str) -> None:  # noqa: ARG002 - Celery's signature
        """Hear the id before it is sent; have its PENDING record written, so that polls never ask the object store.

        With `track_sent` that record says SENT, and the server is waited for: an id without one was not sent.
        """
        if self.listens and not task_join_will_block():
            self.result_consumer.expect(task_id)
        now, life_s = time.time(), self.expires or None
        known = Result(id=task_id, owner=inherited(), created_at=now, changed_at=now)
        if self.tracks_sent:
            self.store.index.save(known.moved(SENT), ttl_s=life_s, over=Over.NOTHING)
        elif self.store.blobs is not None and isinstance(self.store.index, Hints):
            index, pending = self.store.index, known.moved(State.PENDING)
            self.sent.then(task_id, lambda: index.hint(pending, ttl_s=life_s))


class Sent:
    """What is left to do when a message was sent: while the task is already on its way.

    For as long as this object lives: Celery's signals hold it weakly.
    """

    def __init__(self) -> None:
        self._ahead = threading.local()
        after_task_publish.connect(self._published, weak=True)

    def then(self, task_id: str, work: Callable[[], object]) -> None:
        """Do this when this thread has sent the message of `task_id`; not at all where that fails."""
        self._ahead.work = (task_id, work)

    def _published(self, headers: dict[str, object] | None = None, **_: object) -> None:
        task_id, work = getattr(self._ahead, "work", ("", None))
        if work is not None and headers is not None and headers.get("id") == task_id:
            del self._ahead.work
            work()
