"""Reconcile: finishes the uploads that their clients did not, and collects what will never be finished."""

import math
import random
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import msgspec

from resultstore.blobs.blobstore import Stored
from resultstore.index.claims import release_claim
from resultstore.model import layout
from resultstore.model.errors import Damaged, NotThere, Refused, UploadIncomplete
from resultstore.model.result import State
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.telemetry.tolerance import FailureTolerance
from resultstore.uploads.arrival import DATES_DIFFER_S
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.late_bytes import LateByteTracker
from resultstore.uploads.ticket import OPEN_FOR_S, Ticket, TicketStore

EVERY_S: Final = 60.0
# Of an upload whose sender may never say that it is done: it is looked for this often while it is young, then ever more
# seldom, so that it waits for at most a tenth of the time that it took, and costs about a hundred looks in a day.
POLL_S: Final = 3.0
_EACH_POLL_S: Final = 10 * POLL_S
_PATIENCE: Final = 1.1
YOUNG_S: Final = 15 * 60  # so long an upload is looked at in every round, later in one of fifteen
_ONE_OF: Final = 15
_ORPHANS_EVERY_S: Final = layout.DAY_S
# Bytes that no ticket, record or seal knows: as long as a message may wait in a queue when Redis was lost meanwhile.
ORPHAN_AFTER_S: Final = 7 * layout.DAY_S

_log = Log(__name__)


class ReconcileOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: uploads whose task was sent or that were refused, those given up, bytes that nobody knew."""

    completed: int = 0
    given_up: int = 0
    orphans: int = 0


class Reconciler:
    """The net below clients that vanish and events that are lost.

    Args:
        store: whose uploads.
        completion: sends the tasks.
    """

    def __init__(self, store: Store, completion: UploadCompleter) -> None:
        self._store = store
        self._completion = completion
        self._tickets = TicketStore(store)
        self._late = LateByteTracker(store)

    def run(self) -> ReconcileOutcome:
        """Look at every open upload, and at all bytes. May run beside clients, gateways and another run."""
        found = self._finish_all(self._tickets.open_ids())
        self._late.delete_due()
        return ReconcileOutcome(
            completed=found.count("completed"), given_up=found.count("given up"), orphans=self._delete_orphans()
        )

    def round(self) -> ReconcileOutcome:
        """What is due in this minute; one process of all that share the index does it."""
        if not self._claimed(layout.RECONCILING_KEY, EVERY_S - 5):
            return ReconcileOutcome()
        minute = int(time.time() // EVERY_S)
        found = self._finish_all(self._tickets.open_ids(), due=partial(_due, minute=minute))
        self._late.delete_due()
        return ReconcileOutcome(
            completed=found.count("completed"), given_up=found.count("given up"), orphans=self._delete_orphans_daily()
        )

    def poll_untracked(self) -> ReconcileOutcome:
        """Look for what nobody may ever tell us of; one process of all that share the index does it at a time."""
        open_ids = self._tickets.unconfirmed_ids()
        if not open_ids or not self._claimed(layout.POLLING_KEY, POLL_S - 1):
            return ReconcileOutcome()
        found = self._finish_all(open_ids, due=is_poll_due)
        return ReconcileOutcome(completed=found.count("completed"), given_up=found.count("given up"))

    @contextmanager
    def run_in_background(self) -> Iterator[None]:
        """Rounds in a thread of their own, for as long as the block lasts."""
        ended = threading.Event()

        def rounds() -> None:
            rounds_at = time.monotonic() + EVERY_S
            while not ended.wait(POLL_S):
                try:
                    self.poll_untracked()
                    if time.monotonic() >= rounds_at:
                        rounds_at = time.monotonic() + EVERY_S
                        self.round()
                except Exception as error:  # noqa: BLE001 - whatever it is: the next round is soon
                    _log.warning("reconciliation_failed", reason=repr(error))

        thread = threading.Thread(target=rounds, name="resultstore-reconciler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()

    def _finish_all(self, upload_ids: Sequence[str], *, due: Callable[[Ticket], bool] | None = None) -> list[str]:
        """Settle each; what was done, in words. One that fails is left for the next round.

        In another order each time: where a server is away the round ends early, and must not end at the same ones.
        """
        tolerance = FailureTolerance(_log, "upload_not_reconciled")
        done: list[str] = []
        for one in random.sample(upload_ids, len(upload_ids)):
            with tolerance.each(id=one):
                done.append(self._finish_one(one, due=due))
        return done

    def _finish_one(self, upload_id: str, *, due: Callable[[Ticket], bool] | None) -> str:
        """Complete the upload if all of it is there, give it up if its time is over; what was done, in a word."""
        ticket = self._tickets.find_any(upload_id)
        if ticket is None:
            self._tickets.forget(upload_id)
            return "given up"
        if ticket.closed:
            self._tickets.save(ticket)  # a crash has left it on the list of those that are open
            return "left"
        if due is not None and not due(ticket):
            return "left"
        return self._finish(ticket)

    def _finish(self, ticket: Ticket) -> str:
        try:
            self._completion.complete(ticket)
        except UploadIncomplete:
            if time.time() - ticket.created_at < OPEN_FOR_S:
                return "left"
        except NotThere:
            pass  # its record was deleted or has expired: nobody can ask for it any more
        else:
            return "completed"
        return "given up" if self._completion.abandon(ticket) else "left"

    def _delete_orphans_daily(self) -> int:
        """`_collected` once a day; again soon when it could not be done."""
        key, holder = layout.COLLECTING_KEY, uuid.uuid4().hex
        if not self._store.index.keys.claim(key, holder, ttl_s=_ORPHANS_EVERY_S):
            return 0
        try:
            return self._delete_orphans()
        except BaseException:
            release_claim(self._store.index.keys, key, holder)
            raise

    def _delete_orphans(self) -> int:
        """Delete bytes of a week ago that no ticket, record or seal knows; how many there were."""
        blobs, count = self._store.blobs, 0
        assert blobs is not None  # a Completion was made for this store
        now = blobs.now()
        tolerance = FailureTolerance(_log, "orphan_not_collected")
        for stored in blobs.list("uploads/"):
            if not (layout.is_content_key(stored.key) and is_old(stored, now=now)):
                continue
            with tolerance.each(key=stored.key):
                if self._unknown(layout.id_of_upload_key(stored.key)):
                    blobs.delete([stored.key])
                    count += 1
        return count

    def _unknown(self, upload_id: str) -> bool:
        """Whether nothing knows the upload. What cannot be read might, so that its bytes stay."""
        try:
            if self._tickets.find(upload_id) is not None:
                return False
            result = self._store.load(upload_id)
        except (Damaged, Refused):
            return False
        return result is None or (result.failure is not None and result.state == State.FAILURE and not result.artifacts)

    def _claimed(self, key: str, length_s: float) -> bool:
        return self._store.index.keys.claim(key, uuid.uuid4().hex, ttl_s=int(length_s))


def is_old(stored: Stored, *, now: float) -> bool:
    """Whether it was stored a week ago, or is dated so far ahead that its sender must have chosen the date."""
    return not now - ORPHAN_AFTER_S <= stored.modified_at <= now + DATES_DIFFER_S


def is_poll_due(ticket: Ticket) -> bool:
    """Whether it is young, or its age came past a power of 1.1 in the last two glances: one may come late."""
    age_s = time.time() - ticket.created_at
    return age_s < _EACH_POLL_S or _steps(age_s) != _steps(age_s - 2 * POLL_S)


def _steps(age_s: float) -> int:
    return int(math.log(max(age_s, 1.0), _PATIENCE))


def _due(ticket: Ticket, *, minute: int) -> bool:
    age_s = time.time() - ticket.created_at
    return age_s < YOUNG_S or age_s >= OPEN_FOR_S or minute % _ONE_OF == zlib.crc32(ticket.id.encode()) % _ONE_OF
