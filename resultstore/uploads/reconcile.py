"""Reconciler: completes uploads that their clients did not complete, and deletes abandoned ones."""

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
# Polling with back-off for uploads that clients may not confirm: this often at first, then at growing intervals. An
# upload waits for at most a tenth of its own duration, and costs about a hundred polls a day.
POLL_S: Final = 3.0
_EACH_POLL_S: Final = 10 * POLL_S
_BACK_OFF: Final = 1.1
YOUNG_S: Final = 15 * 60  # up to this age an upload is checked in every round, later in one of fifteen
_ONE_OF: Final = 15
_ORPHANS_EVERY_S: Final = layout.DAY_S
# Age of bytes without ticket, record and seal; a message may wait this long in a queue after Redis was lost.
ORPHAN_AFTER_S: Final = 7 * layout.DAY_S

_log = Log(__name__)


class ReconcileOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How many uploads were completed (or rejected) and abandoned, and how many orphaned objects were deleted."""

    completed: int = 0
    given_up: int = 0
    orphans: int = 0


class Reconciler:
    """Completes or abandons uploads of vanished clients and lost events, and deletes orphaned bytes.

    Args:
        store: the Store of the uploads.
        completion: sends the tasks.
    """

    def __init__(self, store: Store, completion: UploadCompleter) -> None:
        self._store = store
        self._completion = completion
        self._tickets = TicketStore(store)
        self._late = LateByteTracker(store)

    def run(self) -> ReconcileOutcome:
        """Check every open upload and all stored bytes. Safe to run concurrently with clients, gateways and itself."""
        found = self._finish_all(self._tickets.open_ids())
        self._late.delete_due()
        return ReconcileOutcome(
            completed=found.count("completed"), given_up=found.count("given up"), orphans=self._delete_orphans()
        )

    def round(self) -> ReconcileOutcome:
        """Check what is due in this minute; only one of the processes that share the index does it."""
        if not self._claimed(layout.RECONCILING_KEY, EVERY_S - 5):
            return ReconcileOutcome()
        minute = int(time.time() // EVERY_S)
        found = self._finish_all(self._tickets.open_ids(), due=partial(_due, minute=minute))
        self._late.delete_due()
        return ReconcileOutcome(
            completed=found.count("completed"), given_up=found.count("given up"), orphans=self._delete_orphans_daily()
        )

    def poll_untracked(self) -> ReconcileOutcome:
        """Poll uploads that their clients may not confirm; only one process at a time does it."""
        open_ids = self._tickets.unconfirmed_ids()
        if not open_ids or not self._claimed(layout.POLLING_KEY, POLL_S - 1):
            return ReconcileOutcome()
        found = self._finish_all(open_ids, due=is_poll_due)
        return ReconcileOutcome(completed=found.count("completed"), given_up=found.count("given up"))

    @contextmanager
    def run_in_background(self) -> Iterator[None]:
        """Run rounds in a background thread until the block ends."""
        ended = threading.Event()

        def rounds() -> None:
            rounds_at = time.monotonic() + EVERY_S
            while not ended.wait(POLL_S):
                try:
                    self.poll_untracked()
                    if time.monotonic() >= rounds_at:
                        rounds_at = time.monotonic() + EVERY_S
                        self.round()
                except Exception as error:  # noqa: BLE001 - any error: the next round follows soon
                    _log.warning("reconciliation_failed", reason=repr(error))

        thread = threading.Thread(target=rounds, name="resultstore-reconciler", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()

    def _finish_all(self, upload_ids: Sequence[str], *, due: Callable[[Ticket], bool] | None = None) -> list[str]:
        """Finish each upload and return what was done with each. A failed one is left for the next round.

        The order is random: if a server is unavailable the round ends early, and must not always reach the same ones.
        """
        tolerance = FailureTolerance(_log, "upload_not_reconciled")
        done: list[str] = []
        for one in random.sample(upload_ids, len(upload_ids)):
            with tolerance.each(id=one):
                done.append(self._finish_one(one, due=due))
        return done

    def _finish_one(self, upload_id: str, *, due: Callable[[Ticket], bool] | None) -> str:
        """Complete the upload if all bytes arrived, abandon it after a day; return what was done."""
        ticket = self._tickets.find_any(upload_id)
        if ticket is None:
            self._tickets.forget(upload_id)
            return "given up"
        if ticket.closed:
            self._tickets.save(ticket)  # a crash left it on the list of open uploads
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
            pass  # its record was deleted or has expired, so no client can complete it
        else:
            return "completed"
        return "given up" if self._completion.abandon(ticket) else "left"

    def _delete_orphans_daily(self) -> int:
        """Do `_delete_orphans` once a day; repeat it soon after a failure."""
        key, holder = layout.COLLECTING_KEY, uuid.uuid4().hex
        if not self._store.index.keys.claim(key, holder, ttl_s=_ORPHANS_EVERY_S):
            return 0
        try:
            return self._delete_orphans()
        except BaseException:
            release_claim(self._store.index.keys, key, holder)
            raise

    def _delete_orphans(self) -> int:
        """Delete bytes older than a week without ticket, record and seal; return the number of objects."""
        blobs, count = self._store.blobs, 0
        assert blobs is not None  # a Completion was made for this store
        now = blobs.now()
        tolerance = FailureTolerance(_log, "orphan_not_collected")
        for stored in blobs.list("uploads/"):
            if not (layout.is_content_key(stored.key) and is_old(stored, now=now)):
                continue
            with tolerance.each(key=stored.key):
                if self._is_orphan(layout.id_of_upload_key(stored.key)):
                    blobs.delete([stored.key])
                    count += 1
        return count

    def _is_orphan(self, upload_id: str) -> bool:
        """Return True if no ticket, record or seal exists. If one cannot be read, the bytes are kept."""
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
    """Return True if it was stored more than a week ago, or has a forged date in the future."""
    return not now - ORPHAN_AFTER_S <= stored.modified_at <= now + DATES_DIFFER_S


def is_poll_due(ticket: Ticket) -> bool:
    """Return True for a young upload, or if its age passed the next interval (factor 1.1) within two polls."""
    age_s = time.time() - ticket.created_at
    return age_s < _EACH_POLL_S or _steps(age_s) != _steps(age_s - 2 * POLL_S)


def _steps(age_s: float) -> int:
    return int(math.log(max(age_s, 1.0), _BACK_OFF))


def _due(ticket: Ticket, *, minute: int) -> bool:
    age_s = time.time() - ticket.created_at
    return age_s < YOUNG_S or age_s >= OPEN_FOR_S or minute % _ONE_OF == zlib.crc32(ticket.id.encode()) % _ONE_OF
