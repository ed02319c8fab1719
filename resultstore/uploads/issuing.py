"""Issuing: gives out tickets, and the signed URLs by which their bytes are sent."""

import base64
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Final, TypedDict

import msgspec

from resultstore.blobs.blobstore import (
    ConditionalCopier,
    FormSigner,
    MultipartStore,
    Part,
    SignedForm,
    SignedUrl,
    Signer,
)
from resultstore.dispatch.offers import Offer, Offers
from resultstore.index.index import Overwrite
from resultstore.model import layout
from resultstore.model.errors import (
    BadInput,
    BadReference,
    Misconfigured,
    ResultMissing,
    TaskMissing,
    TooLarge,
    WrongType,
)
from resultstore.model.names import NAME_MAX_CHARS, replace_harmful
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.uploads.arrival import UploadBlobs, received_parts
from resultstore.uploads.plan import MAX_BYTES, Plan, Slice
from resultstore.uploads.sniff import canonical
from resultstore.uploads.ticket import (
    OPEN_FOR_S,
    RECORD_LIFE_S,
    UPLOADING,
    Ticket,
    TicketStore,
    UploadSpec,
    upload_result,
)

URLS_AT_ONCE: Final = 100
_SHA256: Final = re.compile(r"[0-9a-f]{64}\Z")
NO_FORMS: Final = "this store takes no forms: leave `method` out and send the file by PUT"


class PartUrl(msgspec.Struct, frozen=True):
    """The signed URL of one part."""

    part: Slice
    signed: SignedUrl


class UploadUrls(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bytes go now.

    Args:
        whole: for an upload in one PUT.
        form: for one in a form.
        parts: for one in parts: the first 100 that have not arrived.
        received: the parts that have.
    """

    whole: SignedUrl | None = None
    form: SignedForm | None = None
    parts: tuple[PartUrl, ...] = ()
    received: tuple[Part, ...] = ()


class _SinglePutArguments(TypedDict):
    """What a signer is told of a file that comes in one piece."""

    expires_in_s: int
    size_bytes: int
    media_type: str
    checksum_sha256: str | None


class TicketIssuer:
    """TicketStore for the uploads of one Store.

    Args:
        store: whose object store, signer and index are used. Raises Misconfigured where one of them lacks a power.
        offers: the tasks that take uploads.
    """

    def __init__(self, store: Store, *, offers: Offers) -> None:
        blobs, signer = store.blobs, store.signer
        if blobs is None or signer is None or not isinstance(blobs, MultipartStore):
            raise Misconfigured("uploads need an object store: set RESULTSTORE_BLOBS_URL to s3://... or file:///...")
        self._store = store
        self._blobs: UploadBlobs = blobs
        self._signer: Signer = signer
        self._offers = offers
        self._tickets = TicketStore(store)

    def validate(self, asked: UploadSpec) -> UploadSpec:
        """What is asked for as a task takes it: canonical type, a name without folders, checked options.

        Raises TaskMissing, TooLarge, WrongType (of the file), BadInput (the rest), naming what is taken.
        """
        offer = self._offers.get(asked.task)
        if offer is None or not offer.takes:
            raise TaskMissing(f"no task {asked.task[:100]!a} that takes an upload is offered; see GET /v1/session")
        media_type = _taken(asked, offer)
        if asked.sha256 and not _SHA256.match(asked.sha256):
            raise BadInput("sha256 is 64 lower-case hex digits")
        most = min(offer.max_bytes, self._store.settings.uploads.max_bytes, MAX_BYTES)
        if not 0 < asked.size_bytes <= most:
            raise TooLarge(f"an upload for {asked.task} has 1 to {most:,} bytes, not {asked.size_bytes:,}")
        if asked.form and not (isinstance(self._signer, FormSigner) and isinstance(self._blobs, ConditionalCopier)):
            raise BadInput(NO_FORMS)
        if asked.form and Plan.of(asked.size_bytes).count:
            raise TooLarge("a form takes a file of up to 16 MiB: leave `method` out and send it in parts")
        try:
            options = offer.checked(asked.options)
        except WrongType as error:
            raise BadInput(str(error)) from error
        return msgspec.structs.replace(asked, media_type=media_type, name=file_name(asked.name), options=options)

    def begin(
        self,
        asked: UploadSpec,
        *,
        owner: str,
        upload_id: str = "",
        part_size_bytes: int | None = None,
        client_may_not_confirm: bool = False,
    ) -> tuple[Ticket, Result]:
        """A ticket for what was validated, and the Result in state UPLOADING that tells of it.

        `part_size_bytes` and `client_may_not_confirm` as in `Ticket`. Raises TooLarge for a part size that S3 refuses.
        A crash in between leaves a ticket that nobody has, which the reconciler collects after a day.
        """
        if part_size_bytes is not None:
            Plan.cut(asked.size_bytes, part_size_bytes)
        new_id = upload_id or new_upload_id()
        key = layout.upload_key(new_id, retention=self._store.settings.results.retention, nonce=layout.new_nonce())
        ticket = Ticket(
            id=new_id,
            owner=owner,
            asked=asked,
            key=key,
            created_at=time.time(),
            part_size_bytes=part_size_bytes,
            client_may_not_confirm=client_may_not_confirm,
        )
        self._store.owner_lister.add(owner, new_id, made_at=None, retention=self._store.settings.results.retention)
        if ticket.plan.count:
            begun = self._blobs.begin_parts(key, media_type=asked.media_type)
            ticket = msgspec.structs.replace(ticket, upload_id=begun)
        return ticket, self.save(ticket)

    def save(self, ticket: Ticket) -> Result:
        """Keep a ticket, and the Result in state UPLOADING that shows it."""
        self._tickets.save(ticket)
        result = upload_result(ticket, UPLOADING)
        self._store.save(result, over=Overwrite.IF_ABSENT, ttl_s=RECORD_LIFE_S)
        return result

    def sign(self, ticket: Ticket) -> str:
        """See `TicketStore.sign`."""
        return self._tickets.sign(ticket)

    def read_signed(self, upload_id: str, signed: str) -> Ticket:
        """See `TicketStore.read_signed`. Raises BadReference, also for an expired ticket, and RecordUnreadable."""
        ticket = self._tickets.read_signed(upload_id, signed)
        if time.time() - ticket.created_at >= OPEN_FOR_S:
            raise BadReference(f"the ticket of {upload_id} is older than a day: begin the upload anew")
        return ticket

    def withdraw(self, upload_id: str, *, owner: str) -> None:
        """Undo `begin` of an upload of which nobody got a URL. A part of it that failed leaves what ends by itself."""
        ticket = self._tickets.find(upload_id)
        if ticket is None:
            return
        if ticket.upload_id:
            self._blobs.abort_parts(ticket.key, upload_id=ticket.upload_id)
        self._store.index.delete(upload_id)
        self._tickets.forget(upload_id)
        self._store.index.owners.remove_deleted(upload_id, owner=owner)

    def load(self, upload_id: str) -> Ticket:
        """The ticket of an upload. Raises ResultMissing."""
        found = self._tickets.find(upload_id)
        if found is None:
            raise ResultMissing(f"no upload is known under the id {upload_id[:100]!a}")
        return found

    def sign_urls(self, ticket: Ticket) -> UploadUrls:
        """Fresh URLs of what has not arrived yet."""
        if ticket.asked.form:
            return UploadUrls(form=self._sign_form(ticket))
        if not ticket.upload_id:
            return UploadUrls(whole=self._sign_put(ticket))
        parts = received_parts(self._blobs, ticket)
        there = {one.number for one in parts}
        missing = [one for one in ticket.plan.slices() if one.number not in there][:URLS_AT_ONCE]
        return UploadUrls(parts=tuple(self._sign_each(ticket, missing)), received=parts)

    def sign_parts(self, ticket: Ticket, numbers: Sequence[int]) -> tuple[PartUrl, ...]:
        """Fresh URLs of these parts, whether they have arrived or not. Raises BadInput for one that there is not."""
        wanted, count = set(numbers), ticket.plan.count
        if not all(1 <= number <= count for number in wanted):
            raise BadInput(f"upload {ticket.id} has the parts 1 to {count}: were they cut as its ticket says?")
        return tuple(self._sign_each(ticket, [one for one in ticket.plan.slices() if one.number in wanted]))

    def _sign_put(self, ticket: Ticket) -> SignedUrl:
        return self._signer.sign_put(ticket.key, **self._whole(ticket.asked))

    def _sign_form(self, ticket: Ticket) -> SignedForm:
        if not isinstance(self._signer, FormSigner):
            raise BadInput(NO_FORMS)
        return self._signer.sign_form(ticket.key, **self._whole(ticket.asked))

    def _whole(self, asked: UploadSpec) -> "_SinglePutArguments":
        return {
            "expires_in_s": self._store.settings.uploads.url_expires_s,
            "size_bytes": asked.size_bytes,
            "media_type": asked.media_type,
            "checksum_sha256": base64.b64encode(bytes.fromhex(asked.sha256)).decode() if asked.sha256 else None,
        }

    def _sign_each(self, ticket: Ticket, parts: Sequence[Slice]) -> Iterator[PartUrl]:
        for one in parts:
            signed = self._signer.sign_part(
                ticket.key,
                expires_in_s=self._store.settings.uploads.url_expires_s,
                upload_id=ticket.upload_id,
                number=one.number,
                size_bytes=one.size_bytes,
            )
            yield PartUrl(one, signed)


def new_upload_id() -> str:
    """An id that nobody can guess: of the upload, its task and its Result."""
    return str(uuid.uuid4())


def file_name(name: str) -> str:
    """An untrusted client's file name as people may see it: its last segment, at most 255 characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = replace_harmful(last).strip()
    return shown[-NAME_MAX_CHARS:] if shown.strip(".") else "upload"


def _taken(asked: UploadSpec, offer: Offer) -> str:
    """The declared type, if the offer takes it."""
    declared = canonical(asked.media_type)
    taken = {canonical(one) for one in offer.takes}
    if declared not in taken:
        raise WrongType(f"{asked.task} takes {', '.join(sorted(taken))}, not {declared[:100]!a}")
    return declared
