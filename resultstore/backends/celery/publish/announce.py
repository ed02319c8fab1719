"""TaskAnnouncer: subscribes to a task's id, and writes its first record, before its message is sent."""

import threading
import time
from collections.abc import Callable
from typing import Final

from celery._state import task_join_will_block

from resultstore.backends.celery.publish.steps import Headers
from resultstore.backends.celery.task_owner import current_owner
from resultstore.index.index import Index, Overwrite
from resultstore.model.headers import owner_in
from resultstore.model.ids import id_of
from resultstore.model.result import Result, State

SENT: Final = "SENT"  # our own state, before those that come after PENDING: a message is on its way


class TaskAnnouncer:
    """Announces each task that this process sends.

    Args:
        index: stores the records.
        expect: subscribes to an id that is about to be sent.
        life_s: how long a record lives; 0 without a limit.
        tracks_sent: whether an id that was sent is distinguished from an unknown one (`track_sent`).
        writes_pending: whether each id gets a PENDING record, so that polls do not ask the object store.
    """

    def __init__(
        self, index: Index, *, expect: Callable[[str], object], life_s: int, tracks_sent: bool, writes_pending: bool
    ) -> None:
        self._index = index
        self._expect = expect
        self._ttl_s = life_s or None
        self._tracks_sent = tracks_sent
        self._writes_pending = writes_pending
        self._sending = threading.local()
        self.subscribes = True
        """False where the sender does not wait for results."""

    def begin(self, task_id: str) -> None:
        """Note that the message of this id is sent next, in this thread.

        With `track_sent` write a record in state SENT, and wait for the server: an id without a record was not sent.
        The task's name and owner follow in `announce`. Celery logs what a signal's receiver raises, but this raises.
        """
        self._sending.id = task_id = id_of(task_id)
        self._sending.is_recorded = self._tracks_sent and self._save_sent(
            task_id, current_owner(), over=Overwrite.IF_ABSENT
        )

    def announce(self, headers: Headers, body: object) -> None:
        """Subscribe to the id before it is sent; write its PENDING record, so that polls never ask the object store.

        Members of a group are not subscribed to. Celery drops their result objects as soon as they are sent, and a
        caller that waits for a group looks up all of it first: `SUBSCRIBE` and `UNSUBSCRIBE` would be a tenth of the
        time that 1,000 of them take. A chord's parts are subscribed to, as Celery's own test of leaking channels
        expects.
        """
        task_id = getattr(self._sending, "id", None)
        if task_id is None or headers.get("id", task_id) != task_id:  # a message of Celery 3's protocol names no id
            return
        self._sending.id = None
        is_member = headers.get("group") and not _is_chord_part(body)
        if self.subscribes and not is_member and not task_join_will_block():
            self._expect(task_id)
        owner = owner_in(headers)
        task = _task_in(headers, body)
        if self._sending.is_recorded and (task or owner != current_owner()):  # only the message names them
            self._save_sent(task_id, owner, over=Overwrite.IF_UNFINISHED, task=task)
        elif self._writes_pending and not self._tracks_sent:
            self._index.unconfirmed.save_if_absent(_new(task_id, owner, State.PENDING, task=task), ttl_s=self._ttl_s)

    def _save_sent(self, task_id: str, owner: str, *, over: Overwrite, task: str = "") -> bool:
        return self._index.save(_new(task_id, owner, SENT, task=task), ttl_s=self._ttl_s, over=over)


def _is_chord_part(body: object) -> bool:
    """Return whether a message of protocol 2 is for a task in a chord's header."""
    return isinstance(body, tuple) and bool(body[2].get("chord"))


def _task_in(headers: Headers, body: object) -> str:
    """Return the name of the task, which a message of protocol 1 has in its body; "" if there is none."""
    name = headers.get("task") or (body.get("task") if isinstance(body, dict) else "")
    return name if isinstance(name, str) else ""


def _new(task_id: str, owner: str, state: str, *, task: str) -> Result:
    now = time.time()
    return Result(id=task_id, state=state, task=task, owner=owner, created_at=now, changed_at=now)
