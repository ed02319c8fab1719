"""LateByteTracker: counts and deletes bytes that arrive by a URL after the upload was deleted."""

from typing import Final

from resultstore.blobs.blobstore import BlobStore, MultipartStore
from resultstore.model import layout
from resultstore.model.errors import BadReference, Damaged
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.telemetry.tolerance import FailureTolerance
from resultstore.uploads.ticket import GRACE_S, Ticket, TicketStore, is_refused, quota_life_s

_log = Log(__name__)

_DELETED_AT_ONCE: Final = 1_000


class LateByteTracker:
    """Counts possible late bytes until the upload URL has expired, then deletes what arrived.

    A URL for one PUT or a form can write again after each deletion, so that bytes would stay uncounted. The store
    refuses parts of an upload that was joined or aborted.

    Args:
        store: the Store of the uploads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._blobs = store.blobs
        self._owner_bytes = store.byte_counter.owner_bytes
        self._due = store.byte_counter.late_uploads
        self._tickets = TicketStore(store)

    def track(self, ticket: Ticket) -> None:
        """Count the bytes that may arrive by the URLs of this upload; call it before its bytes are deleted.

        A crash in between leaves bytes that are counted, and deleted when they are due. No newer URL may be issued.
        """
        size_bytes, settings = ticket.asked.size_bytes, self._store.settings
        self._due.add(ticket.id, after_s=settings.uploads.url_expires_s + GRACE_S)
        self._owner_bytes.reserve(ticket.owner, ticket.id, size_bytes=size_bytes, ttl_s=quota_life_s(settings))

    def track_form(self, ticket: Ticket) -> None:
        """Count the bytes that a form may send again, in addition to the copy for the task."""
        size_bytes, settings = ticket.asked.size_bytes, self._store.settings
        self._due.add(ticket.id, after_s=settings.uploads.url_expires_s + GRACE_S)
        self._owner_bytes.reserve(ticket.owner, _form(ticket), size_bytes=size_bytes, ttl_s=quota_life_s(settings))

    def note_deleted(self, ticket: Ticket) -> None:
        """Stop counting the stored bytes after their deletion; for a multipart upload also the late ones."""
        self._owner_bytes.forget_stored(ticket.owner, ticket.id)
        if ticket.upload_id:
            self._owner_bytes.drop_reservation(ticket.owner, ticket.id)
            self._due.remove(ticket.id)

    def track_result(self, result_id: str) -> None:
        """Do `track` for the upload of a Result, if it has one; call it before the Result is deleted."""
        try:
            ticket = self._tickets.find(result_id)
        except (BadReference, Damaged) as error:
            _log.warning("ticket_not_read", id=result_id, error=str(error))
            return
        if ticket is not None:
            self.track(ticket)

    def delete_due(self) -> int:
        """Delete what arrived by URLs that have expired; return the number of uploads."""
        tolerance = FailureTolerance(_log, "late_bytes_not_deleted")
        ids = self._due.read_due(count=_DELETED_AT_ONCE)
        for one in ids:
            with tolerance.each(id=one):
                self._delete_late(one)
        return len(ids) - tolerance.failed

    def _delete_late(self, upload_id: str) -> None:
        ticket = self._tickets.find_any(upload_id)
        if ticket is not None:
            result = self._store.load(upload_id)
            if result is None or is_refused(result):
                delete_received(self._blobs, ticket)
                self._owner_bytes.forget_stored(ticket.owner, upload_id)
            elif not _holds(result, ticket.key) and self._blobs is not None:
                self._blobs.delete([ticket.key])
            self._owner_bytes.drop_reservation(ticket.owner, upload_id)
            self._owner_bytes.drop_reservation(ticket.owner, _form(ticket))
        self._due.remove(upload_id)


def delete_received(blobs: BlobStore | None, ticket: Ticket) -> None:
    """Delete all received bytes of an upload, with the copy of a form upload."""
    if ticket.upload_id and isinstance(blobs, MultipartStore):
        blobs.abort_parts(ticket.key, upload_id=ticket.upload_id)
    if blobs is not None:
        copies = [layout.copied_upload_key(ticket.key)] if ticket.asked.form else []
        blobs.delete([ticket.key, *copies])


def _form(ticket: Ticket) -> str:
    """Return the name under which possible bytes of a form are counted."""
    return f"{ticket.id}~form"


def _holds(result: Result, key: str) -> bool:
    return any(one.key == key for one in result.artifacts)
