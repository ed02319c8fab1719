"""Arrival: completes the bytes of an upload in the object store, or reports what is missing."""

from typing import Final, Protocol

from resultstore.blobs.blobstore import BlobStore, ConditionalCopier, MultipartStore, Part, Stored
from resultstore.model import layout
from resultstore.model.errors import BlobMissing, ChecksumMismatch, Misconfigured, UploadIncomplete
from resultstore.uploads.ticket import Ticket

# MinIO takes the date of an object from a header of its sender, and uses it to list and delete. Clocks differ by less.
DATES_DIFFER_S: Final = layout.DAY_S


class UploadBlobs(BlobStore, MultipartStore, Protocol):
    """What uploads ask of an object store."""


def complete_upload(blobs: UploadBlobs, ticket: Ticket) -> Stored:
    """Complete the upload, joining its parts if it has any, and return the stored object.

    Safe to repeat, also after a lost answer. An object of the wrong size is deleted.
    Raises UploadIncomplete, which names what is missing.
    """
    stored = find_stored(blobs, ticket)
    if stored is None and ticket.upload_id:
        stored = _join_parts(blobs, ticket)
    if stored is None:
        raise UploadIncomplete(f"the bytes of upload {ticket.id} are missing: send them, then complete it again")
    if stored.size_bytes != ticket.asked.size_bytes:
        # Some stores keep the bytes of an interrupted request, and the upload URL cannot overwrite them.
        blobs.delete([ticket.key])
        raise UploadIncomplete(
            f"{stored.size_bytes} of the {ticket.asked.size_bytes} bytes of upload {ticket.id} arrived and were "
            "deleted: send the whole file again"
        )
    return stored


def complete_for_adoption(blobs: UploadBlobs, ticket: Ticket) -> Stored:
    """Complete the upload and return an object that its sender cannot overwrite: for a form upload, a copy.

    Safe to repeat; an existing copy is never changed. Raises UploadIncomplete.
    """
    if not ticket.asked.form:
        return complete_upload(blobs, ticket)
    if not isinstance(blobs, ConditionalCopier):
        raise Misconfigured(
            f"upload {ticket.id} was sent by form, and this store has no conditional copy: send it by PUT"
        )
    to = layout.copied_upload_key(ticket.key)
    try:
        return blobs.stat(to)
    except BlobMissing:
        stored = complete_upload(blobs, ticket)
    try:
        return blobs.copy(ticket.key, to, etag=stored.etag)
    except (ChecksumMismatch, BlobMissing) as error:
        raise UploadIncomplete(
            f"upload {ticket.id} was sent again while it was completed: complete it again"
        ) from error


def received_parts(blobs: UploadBlobs, ticket: Ticket) -> tuple[Part, ...]:
    """Return the complete parts; () for an upload without parts, or one that has ended."""
    if not ticket.upload_id:
        return ()
    wanted = {one.number: one.size_bytes for one in ticket.plan.slices()}
    try:
        parts = blobs.parts(ticket.key, upload_id=ticket.upload_id)
    except BlobMissing:
        return ()
    return tuple(one for one in parts if wanted.get(one.number) == one.size_bytes)


def find_stored(blobs: UploadBlobs, ticket: Ticket) -> Stored | None:
    """Return the object under the ticket's key, or None. Does not join parts."""
    try:
        return blobs.stat(ticket.key)
    except BlobMissing:
        return None


def is_misdated(stored: Stored, *, since: float, now: float) -> bool:
    """Return True if the sender forged the date: it is not between `since`, the start, and `now`, the store's time."""
    return not since - DATES_DIFFER_S <= stored.modified_at <= now + DATES_DIFFER_S


def _join_parts(blobs: UploadBlobs, ticket: Ticket) -> Stored | None:
    parts = received_parts(blobs, ticket)
    missing = ticket.plan.count - len(parts)
    if missing:
        arrived = {one.number for one in parts}
        first = next(one.number for one in ticket.plan.slices() if one.number not in arrived)
        raise UploadIncomplete(
            f"{missing} of the {ticket.plan.count} parts of upload {ticket.id} are missing, first number {first}: "
            "GET the upload for their URLs"
        )
    try:
        return blobs.complete_parts(ticket.key, upload_id=ticket.upload_id, parts=parts)
    except BlobMissing:
        return None
