"""Arrival: brings the bytes of an upload to rest under its key, and says whether they are all there."""

from typing import Final, Protocol

from resultstore.blobs.blobstore import BlobStore, ConditionalCopier, MultipartStore, Part, Stored
from resultstore.model import layout
from resultstore.model.errors import BlobMissing, ChecksumMismatch, Misconfigured, UploadIncomplete
from resultstore.uploads.ticket import Ticket

# MinIO takes the date of an object from a header of its sender, and collects and lists by it. Clocks differ by less.
DATES_DIFFER_S: Final = layout.DAY_S


class UploadBlobs(BlobStore, MultipartStore, Protocol):
    """What uploads ask of an object store."""


def complete_upload(blobs: UploadBlobs, ticket: Ticket) -> Stored:
    """What stands under the ticket's key, whole; a multipart upload is completed here, by the server alone.

    Safe to repeat: who calls it again, also after a lost answer, hears the same.
    Raises UploadIncomplete, saying what is missing.
    """
    stored = find_stored(blobs, ticket)
    if stored is None and ticket.upload_id:
        stored = _join_parts(blobs, ticket)
    if stored is None:
        raise UploadIncomplete(f"the bytes of upload {ticket.id} have not arrived: send them, then complete it again")
    if stored.size_bytes != ticket.asked.size_bytes:
        # Some stores keep the torn bytes of a sender who went away. Nothing else may be sent over them.
        blobs.delete([ticket.key])
        raise UploadIncomplete(
            f"{stored.size_bytes} of the {ticket.asked.size_bytes} bytes of upload {ticket.id} arrived, and were "
            "removed: send all of them again"
        )
    return stored


def complete_for_adoption(blobs: UploadBlobs, ticket: Ticket) -> Stored:
    """Return what has arrived, where its sender cannot write any more: of a form, which can be sent again, a copy.

    Safe to repeat; a copy that was made stays as it is. Raises UploadIncomplete.
    """
    if not ticket.asked.form:
        return complete_upload(blobs, ticket)
    if not isinstance(blobs, ConditionalCopier):
        raise Misconfigured(f"upload {ticket.id} came in a form, and this store copies nothing: send it by PUT")
    to = layout.copied_upload_key(ticket.key)
    try:
        return blobs.stat(to)
    except BlobMissing:
        stored = complete_upload(blobs, ticket)
    try:
        return blobs.copy(ticket.key, to, etag=stored.etag)
    except (ChecksumMismatch, BlobMissing) as error:
        raise UploadIncomplete(f"upload {ticket.id} was sent again meanwhile: complete it again") from error


def received_parts(blobs: UploadBlobs, ticket: Ticket) -> tuple[Part, ...]:
    """The parts that are whole; () for an upload that comes in one piece or is over."""
    if not ticket.upload_id:
        return ()
    wanted = {one.number: one.size_bytes for one in ticket.plan.slices()}
    try:
        parts = blobs.parts(ticket.key, upload_id=ticket.upload_id)
    except BlobMissing:
        return ()
    return tuple(one for one in parts if wanted.get(one.number) == one.size_bytes)


def find_stored(blobs: UploadBlobs, ticket: Ticket) -> Stored | None:
    """What stands under the ticket's key already; None while nothing does. Parts that came are not joined."""
    try:
        return blobs.stat(ticket.key)
    except BlobMissing:
        return None


def is_misdated(stored: Stored, *, since: float, now: float) -> bool:
    """Whether the sender has chosen the date: the upload began at `since`, and it is `now` by the store's clock."""
    return not since - DATES_DIFFER_S <= stored.modified_at <= now + DATES_DIFFER_S


def _join_parts(blobs: UploadBlobs, ticket: Ticket) -> Stored | None:
    parts = received_parts(blobs, ticket)
    missing = ticket.plan.count - len(parts)
    if missing:
        there = {one.number for one in parts}
        first = next(one.number for one in ticket.plan.slices() if one.number not in there)
        raise UploadIncomplete(
            f"{missing} of the {ticket.plan.count} parts of upload {ticket.id} have not arrived, the first of them "
            f"number {first}: GET the upload for their URLs"
        )
    try:
        return blobs.complete_parts(ticket.key, upload_id=ticket.upload_id, parts=parts)
    except BlobMissing:
        return None
