"""Announcing: what is said of a task before its message is sent."""

import time
from typing import Final

from celery._state import task_join_will_block
from celery.backends.base import BaseKeyValueStoreBackend

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

    def on_task_call(self, producer: object, task_id: str) -> None:  # noqa: ARG002 - Celery's signature
        """Hear the id before it is sent; write its PENDING record, so that polls of it never ask the object store.

        With `track_sent` that record says SENT, and the server is waited for: an id without one was not sent.
        """
        if self.listens and not task_join_will_block():
            self.result_consumer.expect(task_id)
        now, life_s = time.time(), self.expires or None
        known = Result(id=task_id, owner=inherited(), created_at=now, changed_at=now)
        if self.tracks_sent:
            self.store.index.save(known.moved(SENT), ttl_s=life_s, over=Over.NOTHING)
        elif self.store.blobs is not None and isinstance(self.store.index, Hints):
            self.store.index.hint(known.moved(State.PENDING), ttl_s=life_s)
