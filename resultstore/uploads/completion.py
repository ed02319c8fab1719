"""UploadCompleter: checks an upload, adopts it in place, and sends its task once."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from resultstore.blobs.blobstore import MultipartStore, Stored, UnsignedHeaderReader
from resultstore.dispatch.orders import Dispatcher, Order
from resultstore.index.claims import release_claim
from resultstore.index.index import Overwrite
from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BlobUnreadable, Misconfigured, ResultMissing, ResultStoreError, UploadRejected
from resultstore.model.result import Failure, Result, State
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.uploads.arrival import UploadBlobs, complete_for_adoption, complete_upload, find_stored, is_misdated
from resultstore.uploads.late_bytes import LateByteTracker, delete_received
from resultstore.uploads.rejection import DECLARED_SHA256
from resultstore.uploads.sniff import HEAD_BYTES, UNDECLARED, Sniffer, agrees, found_type
from resultstore.uploads.ticket import INPUT, OPEN_STATES, RECORD_LIFE_S, VERIFYING, Ticket, TicketStore, upload_result

_log = Log(__name__)

CLAIM_S: Final = 30
_JOINED_BYTES_PER_S: Final = 50 * 1024 * 1024  # slower than any measured store joins parts
_SENDABLE: Final = frozenset({*OPEN_STATES, State.PENDING})


class UploadCompleter:
    """Completes, rejects or abandons the uploads of one Store.

    Args:
        store: the Store to use. Raises Misconfigured if its object store has no multipart uploads.
        dispatcher: sends the tasks.
    """

    def __init__(self, store: Store, *, dispatcher: Dispatcher) -> None:
        blobs = store.blobs
        if blobs is None or not isinstance(blobs, MultipartStore):
            raise Misconfigured("uploads need an object store and an index: see RESULTSTORE_BLOBS_URL and _INDEX_URL")
        self._store = store
        self._blobs: UploadBlobs = blobs
        self._dispatcher = dispatcher
        self._sniffer = Sniffer()
        self._tickets = TicketStore(store)
        self._late = LateByteTracker(store)

    def complete(self, ticket: Ticket) -> Result:
        """Check the upload and send its task once (idempotent); return the Result.

        While another process completes the upload, return its Result as it is. After a crash at any step, the next
        call or the reconciler continues when the lease has ended (30 s, more for very large files). A crash after the
        broker's confirmation sends the same order again, which has the outcome of the first one.
        Raises UploadIncomplete, and Unavailable if a server is unavailable; then the call can be repeated.
        """
        if ticket.closed:
            return self._found(ticket)
        with self._claim(ticket) as is_ours:
            # Another process may have completed it between our reading of the ticket and our claim.
            return self._finish(self._tickets.find_any(ticket.id) or ticket) if is_ours else self._found(ticket)

    def complete_bytes(self, ticket: Ticket) -> Stored:
        """Complete the bytes without sending the task, for clients whose protocol has a separate step for that.

        Safe to repeat and to call concurrently. Raises UploadIncomplete.
        """
        return complete_upload(self._blobs, ticket)

    def find_stored(self, ticket: Ticket) -> Stored | None:
        """Return the completed object, or None."""
        return find_stored(self._blobs, ticket)

    def abandon(self, ticket: Ticket) -> bool:
        """Abandon an open upload and delete its bytes; return False if it is being completed or has ended.

        Bytes that arrive later by its URLs are counted, and deleted after the URLs have expired. After a crash at any
        step the reconciler abandons the upload within a day.
        """
        with self._claim(ticket) as is_ours:
            known = self._tickets.find(ticket.id)
            if not is_ours or (known is not None and known.closed):
                return False
            self._late.track(ticket)
            self._store.deleter.write_tombstone(ticket.id, owner=ticket.owner)
            self._discard(ticket)
            self._tickets.give_up(ticket)
        return True

    @contextmanager
    def _claim(self, ticket: Ticket) -> Iterator[bool]:
        """Hold the lease of this upload for the block; yield False if another process holds it."""
        key, holder = layout.claim_key(ticket.id), uuid.uuid4().hex
        life_s = CLAIM_S + ticket.asked.size_bytes // _JOINED_BYTES_PER_S
        is_ours = True  # assumed if the answer is lost, so that the claim is released
        try:
            is_ours = self._store.index.keys.claim(key, holder, ttl_s=life_s)
            yield is_ours
        finally:
            if is_ours:
                release_claim(self._store.index.keys, key, holder)

    def _finish(self, ticket: Ticket) -> Result:
        result = self._found(ticket)
        if not ticket.closed and result.state in _SENDABLE:
            try:
                source = self._inspect(ticket)
                self._count(ticket, source)
                if source.key != ticket.key:
                    self._late.track_form(ticket)
                self._send(ticket, source)
                if source.key != ticket.key:
                    self._delete_form(ticket)
            except UploadRejected as reason:
                self._reject(ticket, reason)
        self._tickets.save(msgspec.structs.replace(ticket, closed=True))
        return self._found(ticket)

    def _inspect(self, ticket: Ticket) -> Artifact:
        """Check size and sniffed media type, and return the Artifact; full validation runs in the task."""
        name = repr(ticket.asked.name)
        try:
            stored = complete_for_adoption(self._blobs, ticket)
            self._store.save(upload_result(ticket, VERIFYING), over=Overwrite.IF_UNFINISHED, ttl_s=RECORD_LIFE_S)
            head = b"".join(self._blobs.get(stored.key, size_bytes=HEAD_BYTES))
            extras = self._blobs.unsigned_headers(stored.key) if isinstance(self._blobs, UnsignedHeaderReader) else ()
        except BlobUnreadable as error:
            raise UploadRejected(
                f"{name} was stored so that only its sender can read it: send it with only the headers of its ticket"
            ) from error
        if is_misdated(stored, since=ticket.created_at, now=self._blobs.now()):
            raise UploadRejected(f"{name} was stored with a forged date: send it without a date header")
        if extras:
            raise UploadRejected(
                f"{name} was sent with more headers than its ticket has ({', '.join(extras)}): send it without them"
            )
        declared, shown = ticket.asked.media_type, self._sniffer.sniff(head)
        if declared == UNDECLARED:
            return self._artifact(ticket, stored, media_type=found_type(ticket.asked.name, shown))
        if not agrees(declared=declared, shown=shown):
            raise UploadRejected(f"{name} was declared as {declared} and is {shown}: send a file of the declared type")
        return self._artifact(ticket, stored, media_type=declared)

    def _artifact(self, ticket: Ticket, stored: Stored, *, media_type: str) -> Artifact:
        """Return the upload as an Artifact, pinned by its entity tag, and by its sha256 if the store has checked that.

        Otherwise the worker computes the sha256 and compares it with the declared one.
        """
        asked, retention = ticket.asked, self._store.settings.results.retention
        checked = "" if ticket.upload_id else asked.sha256
        unchecked = {DECLARED_SHA256: asked.sha256} if asked.sha256 and not checked else {}
        made = Artifact(
            id=ticket.id,
            name=INPUT,
            file_name=asked.name,
            key=stored.key,
            etag=stored.etag,
            size_bytes=asked.size_bytes,
            media_type=media_type,
            sha256=checked,
            stored_bytes=asked.size_bytes,
            retention=retention,
            expires_at=layout.expiry(retention, start=ticket.created_at),
            metadata={"role": INPUT, **unchecked},
            owner=ticket.owner,
        )
        return self._store.signatures.sign(made)

    def _count(self, ticket: Ticket, source: Artifact) -> None:
        """Count the stored bytes before the task is sent; the end of the task counts its outputs as well."""
        verifying = upload_result(ticket, VERIFYING).moved(VERIFYING, artifacts=(source,))
        self._store.byte_counter.count(verifying)

    def _send(self, ticket: Ticket, source: Artifact) -> None:
        asked = ticket.asked
        order = Order(id=ticket.id, task=asked.task, owner=ticket.owner, arguments=asked.options, source=source)
        self._dispatcher.send(order)

    def _reject(self, ticket: Ticket, reason: UploadRejected) -> None:
        """Save a FAILURE with the reason, then delete the bytes. A crash in between leaves bytes for the reconciler."""
        why = Failure(type(reason).__name__, str(reason), type(reason).__module__)
        failed = upload_result(ticket, State.FAILURE).moved(State.FAILURE, failure=why, ended_at=time.time())
        self._late.track(ticket)
        self._store.save(failed, over=Overwrite.IF_UNFINISHED)
        self._discard(ticket)

    def _discard(self, ticket: Ticket) -> None:
        """Delete the received bytes. Best effort: the reconciler does it again after the URLs have expired."""
        try:
            delete_received(self._blobs, ticket)
            self._late.note_deleted(ticket)
        except ResultStoreError as error:
            _log.warning("upload_not_discarded", id=ticket.id, error=str(error))

    def _delete_form(self, ticket: Ticket) -> None:
        """Delete the bytes of a form upload, of which the task has a copy. Best effort, as in `_discard`."""
        try:
            self._blobs.delete([ticket.key])
        except ResultStoreError as error:
            _log.warning("upload_not_discarded", id=ticket.id, error=str(error))

    def _found(self, ticket: Ticket) -> Result:
        found = self._store.load(ticket.id)
        if found is None:
            raise ResultMissing(f"upload {ticket.id} was deleted or has expired: start a new upload")
        return found
