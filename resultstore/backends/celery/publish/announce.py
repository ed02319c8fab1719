"""Announcing: what is said of a task around the sending of its message."""

import threading
import time
from typing import Final

from celery._state import task_join_will_block
from celery.backends.base import BaseKeyValueStoreBackend

from resultstore.backends.celery.owners import inherited, mark_owner
from resultstore.backends.celery.publish.dispatch_once import mark_dispatch
from resultstore.backends.celery.publish.signal import Headers, PublishSignal
from resultstore.backends.celery.publish.timing import mark_sent
from resultstore.backends.celery.publish.workflow_notes import WorkflowNotes
from resultstore.backends.celery.wait.consumer import ResultConsumer
from resultstore.index.index import Overwrite, UnconfirmedWrites
from resultstore.model.headers import owner_in
from resultstore.model.ids import id_of
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
    hints: UnconfirmedWrites | None  # writes PENDING records, so that polls do not ask the object store

    def mark_messages(self, workflows: WorkflowNotes) -> PublishSignal:
        """Do with each message what is to be done before it is sent."""
        self._announced = threading.local()
        return PublishSignal(mark_sent, mark_owner, mark_dispatch, workflows.note, last=self._announce)

    def on_task_call(self, producer: object, task_id: str) -> None:  # noqa: ARG002 - Celery's signature
        """The message of this id is sent next, in this thread.

        With `track_sent` a record says SENT, and the server is waited for: an id without one was not sent.
        """
        self._announced.id = task_id = id_of(task_id)
        self._announced.says_sent = self.tracks_sent and self._say_sent(task_id, inherited(), over=Overwrite.IF_ABSENT)

    def _announce(self, headers: Headers, body: object) -> None:
        """Hear the id before it is sent; have its PENDING record written, so that polls never ask the object store.

        Not heard is a group's member. Celery drops its result object as soon as it was sent, and whoever waits for a
        group looks up all of it first: `SUBSCRIBE` and `UNSUBSCRIBE` would be for nothing, a tenth of the time that
        1,000 of them take. A chord's part is: Celery's own test of leaking channels looks for those of its parts.
        """
        task_id = getattr(self._announced, "id", None)
        if task_id is None or headers.get("id", task_id) != task_id:  # a message of Celery 3's protocol names no id
            return
        self._announced.id = None
        is_member = headers.get("group") and not _is_part(body)
        if self.listens and not is_member and not task_join_will_block():
            self.result_consumer.expect(task_id)
        owner = owner_in(headers)
        if self._announced.says_sent and owner != inherited():  # only the message could say so
            self._say_sent(task_id, owner, over=Overwrite.IF_UNFINISHED)
        elif self.hints is not None and not self.tracks_sent:
            self.hints.save_if_absent(_new(task_id, owner, State.PENDING), ttl_s=self.expires or None)

    def _say_sent(self, task_id: str, owner: str, *, over: Overwrite) -> bool:
        return self.store.index.save(_new(task_id, owner, SENT), ttl_s=self.expires or None, over=over)


def _is_part(body: object) -> bool:
    """Whether a message of protocol 2 is for a chord's header."""
    return isinstance(body, tuple) and bool(body[2].get("chord"))


def _new(task_id: str, owner: str, state: str) -> Result:
    now = time.time()
    return Result(id=task_id, state=state, owner=owner, created_at=now, changed_at=now)
