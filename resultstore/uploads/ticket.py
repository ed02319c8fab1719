"""Ticket: the state of an upload until its task is sent, and the store of tickets."""

import base64
import hashlib
from typing import Final

import msgspec

from resultstore.index.leases import Leases
from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.errors import BadReference, RecordUnreadable
from resultstore.model.result import Result
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.uploads.plan import Plan

UPLOADING: Final = "UPLOADING"
VERIFYING: Final = "VERIFYING"
OPEN_STATES: Final = frozenset({UPLOADING, VERIFYING})
INPUT: Final = "input"  # the name of an upload among the Artifacts of its Result

OPEN_FOR_S: Final = layout.DAY_S  # an upload that is older is abandoned
RECORD_LIFE_S: Final = 2 * layout.DAY_S
_KEPT_FOR_S: Final = 3 * layout.DAY_S  # so that the reconciler finds a ticket that no client completed
# Clock skew that S3 accepts, plus time for a running request.
GRACE_S: Final = 15 * 60
SIGNED_MAX_CHARS: Final = 6_000  # proxies take headers of 8 KiB
_MOST_OPEN: Final = 1_000_000
_PURPOSE: Final = "ticket"
_MAC_BYTES: Final = 32  # hex digits


class UploadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an upload.

    Args:
        name: the file name for display; never part of a key.
        size_bytes: the exact size.
        media_type: the declared media type.
        task: the task to start with it.
        options: the other arguments of the task.
        sha256: hex digest of the content; "" if the client does not send one.
        form: the client sends an HTML form (POST) instead of a PUT.
    """

    name: str
    size_bytes: int
    media_type: str
    task: str
    options: dict[str, object]
    sha256: str = ""
    form: bool = False


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one upload.

    Args:
        id: the id of the upload, the task and the Result.
        owner: the owner of the Result.
        asked: the validated request.
        key: the key of the bytes, which no other upload uses.
        created_at: seconds since the epoch.
        upload_id: the id of the multipart upload; "" for one PUT.
        closed: the task was sent, or the upload was rejected or abandoned.
        part_size_bytes: the part size that the client chose; 0 for one PUT, None for the size of `Plan.of`.
        client_may_not_confirm: the client may not report the end of the upload, so the reconciler polls for it.
        given_up: abandoned; the ticket is kept only while its URLs may still bring bytes.
    """

    id: str
    owner: str
    asked: UploadSpec
    key: str
    created_at: float
    upload_id: str = ""
    closed: bool = False
    part_size_bytes: int | None = None
    client_may_not_confirm: bool = msgspec.field(default=False, name="untold")
    given_up: bool = False

    @property
    def plan(self) -> Plan:
        """The parts in which the bytes are sent."""
        size_bytes, cut = self.asked.size_bytes, self.part_size_bytes
        return Plan.of(size_bytes) if cut is None else Plan(size_bytes, cut)


class UploadedFile(msgspec.Struct, frozen=True):
    """The uploaded file of a Result, for display."""

    name: str
    size_bytes: int
    media_type: str


class TicketStore:
    """Stores the tickets of one Store, each with a MAC if there is a secret key, so that Redis cannot forge keys.

    Args:
        store: in whose index they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._index = store.index
        self._macs = store.signatures.macs
        self._open = Leases(store.index)
        self._kept_for_s = max(_KEPT_FOR_S, quota_life_s(store.settings))

    def save(self, ticket: Ticket) -> None:
        """Save a ticket; list its id as open until it is closed."""
        self._index.keys.keep(layout.ticket_key(ticket.id), self._encode(ticket), ttl_s=self._kept_for_s)
        if ticket.closed:
            self._unlist(ticket.id)
            return
        self._open.take(layout.OPEN_UPLOADS_KEY, ticket.id, ttl_s=_KEPT_FOR_S, most=_MOST_OPEN)
        if ticket.client_may_not_confirm:
            self.list_unconfirmed(ticket.id)

    def list_unconfirmed(self, upload_id: str) -> None:
        """List an id for polling, because its client may not confirm the upload."""
        self._open.take(layout.UNCONFIRMED_UPLOADS_KEY, upload_id, ttl_s=_KEPT_FOR_S, most=_MOST_OPEN)

    def find(self, upload_id: str) -> Ticket | None:
        """Return the ticket of an upload, or None. Raises BadReference if it is not authentic, RecordUnreadable."""
        found = self.find_any(upload_id)
        return None if found is None or found.given_up else found

    def find_any(self, upload_id: str) -> Ticket | None:
        """Do `find`, and include abandoned uploads."""
        kept = self._index.keys.read(layout.ticket_key(upload_id))
        return None if kept is None else self._read(upload_id, kept)

    def sign(self, ticket: Ticket) -> str:
        """Return the signed ticket as text, which the client can send again after the index has lost it.

        Return "" without a secret key, or if the text is too long for a header.
        """
        text = base64.urlsafe_b64encode(self._encode(ticket)).decode().rstrip("=") if self._macs else ""
        return text if len(text) <= SIGNED_MAX_CHARS else ""

    def read_signed(self, upload_id: str, signed: str) -> Ticket:
        """Return the ticket that `sign` wrote for this upload. Raises BadReference, RecordUnreadable."""
        if not self._macs:
            raise BadReference("tickets are not signed because RESULTSTORE_SECRET_KEY is not set: start a new upload")
        try:
            kept = base64.urlsafe_b64decode(signed + "=" * (-len(signed) % 4))
        except ValueError as error:
            raise BadReference(f"the signed ticket of {upload_id} is malformed: start a new upload") from error
        return self._read(upload_id, kept)

    def _read(self, upload_id: str, kept: bytes) -> Ticket:
        mac, document = kept[:_MAC_BYTES], kept[_MAC_BYTES:]
        digest = hashlib.sha256(document).hexdigest()
        if self._macs and not self._macs.agrees(mac.decode(errors="replace"), _PURPOSE, upload_id, digest):
            raise BadReference(f"the ticket of {upload_id} is not authentic: start a new upload")
        try:
            return msgspec.msgpack.decode(document, type=Ticket)
        except msgspec.MsgspecError as error:
            raise RecordUnreadable(
                f"the ticket of {upload_id} is damaged, or of a newer resultstore ({error}): start a new upload"
            ) from error

    def give_up(self, ticket: Ticket) -> None:
        """Mark a ticket as abandoned; only `find_any` returns it, while its URLs may bring bytes."""
        self.save(msgspec.structs.replace(ticket, closed=True, given_up=True))

    def forget(self, upload_id: str) -> None:
        """Delete a ticket."""
        self._index.keys.drop(layout.ticket_key(upload_id))
        self._unlist(upload_id)

    def open_ids(self) -> list[str]:
        """Return the ids of all open uploads, in any order."""
        return list(self._open.members(layout.OPEN_UPLOADS_KEY))

    def unconfirmed_ids(self) -> list[str]:
        """Return the ids of the open uploads that clients may not confirm."""
        return list(self._open.members(layout.UNCONFIRMED_UPLOADS_KEY))

    def _encode(self, ticket: Ticket) -> bytes:
        document = msgspec.msgpack.encode(ticket)
        return self._mac(ticket.id, document) + document

    def _unlist(self, upload_id: str) -> None:
        for key in (layout.OPEN_UPLOADS_KEY, layout.UNCONFIRMED_UPLOADS_KEY):
            self._open.release(key, upload_id)

    def _mac(self, upload_id: str, document: bytes) -> bytes:
        if not self._macs:
            return b"-" * _MAC_BYTES
        return self._macs.sign(_PURPOSE, upload_id, hashlib.sha256(document).hexdigest()).encode()


def quota_life_s(settings: Settings) -> int:
    """Return how long bytes of an upload are counted: a day, the life of its last URL, and a margin."""
    return OPEN_FOR_S + settings.uploads.url_expires_s + GRACE_S + layout.DAY_S


def upload_result(ticket: Ticket, state: str) -> Result:
    """Return the Result of an upload that is not adopted yet, with the description of the file."""
    asked = ticket.asked
    return Result(
        id=ticket.id,
        state=state,
        task=asked.task,
        owner=ticket.owner,
        created_at=ticket.created_at,
        extra=msgspec.json.encode(UploadedFile(asked.name, asked.size_bytes, asked.media_type)),
    )


def uploaded_file_of(result: Result) -> UploadedFile | None:
    """Return the uploaded file of a Result, whether it has arrived or not; None if there is none."""
    source = input_of(result)
    if source is not None:
        return UploadedFile(source.file_name, source.size_bytes, source.media_type)
    if result.extra and (result.state in OPEN_STATES or is_refused(result)):
        try:
            return msgspec.json.decode(result.extra, type=UploadedFile)
        except msgspec.DecodeError:
            return None  # a custom state of an application, with other content
    return None


def is_refused(result: Result) -> bool:
    """Return True if its upload was rejected and deleted."""
    return result.failure is not None and result.failure.type == "UploadRejected"


def input_of(result: Result) -> Artifact | None:
    """Return the adopted upload among the Artifacts of a Result, or None."""
    found = result.artifact(INPUT)
    return found if found is not None and found.metadata.get("role") == INPUT else None
