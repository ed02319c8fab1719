"""Ticket: what is remembered of an upload until its task has been sent."""

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

OPEN_FOR_S: Final = layout.DAY_S  # what has not arrived by then is given up
RECORD_LIFE_S: Final = 2 * layout.DAY_S
_KEPT_FOR_S: Final = 3 * layout.DAY_S  # so that the reconciler meets a ticket that nobody completed
# A store's clock may differ from ours by this much (S3 refuses more), and a request may take its time.
GRACE_S: Final = 15 * 60
SIGNED_MAX_CHARS: Final = 6_000  # proxies take headers of 8 KiB
_MOST_OPEN: Final = 1_000_000
_PURPOSE: Final = "ticket"
_MAC_BYTES: Final = 32  # hex digits


class UploadSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to upload.

    Args:
        name: the file's name, for people; never part of a key.
        size_bytes: its exact length.
        media_type: its declared type.
        task: which task shall be started with it.
        options: the task's other arguments.
        sha256: hex digest of the content; "" when the sender does not know it.
        form: it comes in a form (POST) instead of a PUT.
    """

    name: str
    size_bytes: int
    media_type: str
    task: str
    options: dict[str, object]
    sha256: str = ""
    form: bool = False


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """One upload on its way.

    Args:
        id: of the upload, the task and the Result.
        owner: whose Result it will be.
        asked: what was asked for, checked.
        key: where the bytes go; nobody else writes there.
        created_at: seconds since the epoch.
        upload_id: of the multipart upload; "" for one PUT.
        closed: the task was sent, the upload refused or given up: nothing is left to do.
        part_size_bytes: how its sender cuts it; 0 for one PUT whatever its size, None where we say how.
        client_may_not_confirm: its sender may never say that all has been sent: the reconciler looks for it soon.
        given_up: nobody can ask for it any more; it is remembered for as long as its URLs may bring bytes.
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
        """In which pieces the bytes come."""
        size_bytes, cut = self.asked.size_bytes, self.part_size_bytes
        return Plan.of(size_bytes) if cut is None else Plan(size_bytes, cut)


class UploadedFile(msgspec.Struct, frozen=True):
    """What a Result says of the file that it is made from."""

    name: str
    size_bytes: int
    media_type: str


class TicketStore:
    """The tickets of one Store, each with a mac where there is a secret key: who writes to Redis cannot name bytes.

    Args:
        store: in whose index they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._index = store.index
        self._macs = store.signatures.macs
        self._open = Leases(store.index)
        self._kept_for_s = max(_KEPT_FOR_S, quota_life_s(store.settings))

    def save(self, ticket: Ticket) -> None:
        """Remember it, and list it as open for as long as it is."""
        self._index.keys.keep(layout.ticket_key(ticket.id), self._encode(ticket), ttl_s=self._kept_for_s)
        if ticket.closed:
            self._unlist(ticket.id)
            return
        self._open.take(layout.OPEN_UPLOADS_KEY, ticket.id, ttl_s=_KEPT_FOR_S, most=_MOST_OPEN)
        if ticket.client_may_not_confirm:
            self.list_unconfirmed(ticket.id)

    def list_unconfirmed(self, upload_id: str) -> None:
        """Have it looked for soon: nobody may ever say that it is done."""
        self._open.take(layout.UNCONFIRMED_UPLOADS_KEY, upload_id, ttl_s=_KEPT_FOR_S, most=_MOST_OPEN)

    def find(self, upload_id: str) -> Ticket | None:
        """The ticket of an upload, or None. Raises BadReference when it was not written by us, RecordUnreadable."""
        found = self.find_any(upload_id)
        return None if found is None or found.given_up else found

    def find_any(self, upload_id: str) -> Ticket | None:
        """The same, also of an upload that was given up."""
        kept = self._index.keys.read(layout.ticket_key(upload_id))
        return None if kept is None else self._read(upload_id, kept)

    def sign(self, ticket: Ticket) -> str:
        """Return the ticket for its sender to keep, who can give it back when the index has lost it.

        "" where no secret key is set, or where it would be too long for a header.
        """
        text = base64.urlsafe_b64encode(self._encode(ticket)).decode().rstrip("=") if self._macs else ""
        return text if len(text) <= SIGNED_MAX_CHARS else ""

    def read_signed(self, upload_id: str, signed: str) -> Ticket:
        """Return the ticket that `signed` gave out for this upload. Raises BadReference, RecordUnreadable."""
        if not self._macs:
            raise BadReference(
                "no ticket was signed here, for RESULTSTORE_SECRET_KEY is not set: begin the upload anew"
            )
        try:
            kept = base64.urlsafe_b64decode(signed + "=" * (-len(signed) % 4))
        except ValueError as error:
            raise BadReference(f"the signed ticket of {upload_id} is none of ours: begin the upload anew") from error
        return self._read(upload_id, kept)

    def _read(self, upload_id: str, kept: bytes) -> Ticket:
        mac, document = kept[:_MAC_BYTES], kept[_MAC_BYTES:]
        digest = hashlib.sha256(document).hexdigest()
        if self._macs and not self._macs.agrees(mac.decode(errors="replace"), _PURPOSE, upload_id, digest):
            raise BadReference(f"the ticket of {upload_id} was not written by us: begin the upload anew")
        try:
            return msgspec.msgpack.decode(document, type=Ticket)
        except msgspec.MsgspecError as error:
            raise RecordUnreadable(
                f"the ticket of {upload_id} is damaged, or of a newer resultstore ({error}): begin the upload anew"
            ) from error

    def give_up(self, ticket: Ticket) -> None:
        """Let nobody find it any more, and remember where its URLs lead."""
        self.save(msgspec.structs.replace(ticket, closed=True, given_up=True))

    def forget(self, upload_id: str) -> None:
        """Remember nothing of it any more."""
        self._index.keys.drop(layout.ticket_key(upload_id))
        self._unlist(upload_id)

    def open_ids(self) -> list[str]:
        """Every upload that is not closed, in any order."""
        return list(self._open.members(layout.OPEN_UPLOADS_KEY))

    def unconfirmed_ids(self) -> list[str]:
        """Those of them whose senders may never say that they are done."""
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
    """For how long the bytes of an upload may come: it is open for a day, then its last URL ends, and is looked for."""
    return OPEN_FOR_S + settings.uploads.url_expires_s + GRACE_S + layout.DAY_S


def upload_result(ticket: Ticket, state: str) -> Result:
    """The Result of an upload that has not become an input; what is known of the file lies beside its record."""
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
    """The file that this Result is made from, whether it has arrived or not; None when there is none."""
    source = input_of(result)
    if source is not None:
        return UploadedFile(source.file_name, source.size_bytes, source.media_type)
    if result.extra and (result.state in OPEN_STATES or is_refused(result)):
        try:
            return msgspec.json.decode(result.extra, type=UploadedFile)
        except msgspec.DecodeError:
            return None  # a custom state of somebody else's, who keeps other things there
    return None


def is_refused(result: Result) -> bool:
    """Whether its upload was not taken, and is gone."""
    return result.failure is not None and result.failure.type == "UploadRejected"


def input_of(result: Result) -> Artifact | None:
    """The adopted upload among the Artifacts of a Result."""
    found = result.artifact(INPUT)
    return found if found is not None and found.metadata.get("role") == INPUT else None
