"""TicketIssuer: issues upload tickets, and the presigned URLs by which their bytes are sent."""

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
from resultstore.model.names import NAME_MAX_CHARS, is_media_type, replace_harmful
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
NO_FORMS: Final = "this store does not accept form uploads: leave `method` out and send the file by PUT"


class PartUrl(msgspec.Struct, frozen=True):
    """The presigned URL of one part."""

    part: Slice
    signed: SignedUrl


class UploadUrls(msgspec.Struct, frozen=True, kw_only=True):
    """The presigned URLs of an upload.

    Args:
        whole: for an upload by one PUT.
        form: for a form upload.
        parts: for a multipart upload: the first 100 missing parts.
        received: the complete parts.
    """

    whole: SignedUrl | None = None
    form: SignedForm | None = None
    parts: tuple[PartUrl, ...] = ()
    received: tuple[Part, ...] = ()


class _SinglePutArguments(TypedDict):
    """The arguments of `sign_put` and `sign_form`."""

    expires_in_s: int
    size_bytes: int
    media_type: str
    checksum_sha256: str | None


class TicketIssuer:
    """TicketStore for the uploads of one Store.

    Args:
        store: the Store to use. Raises Misconfigured if its object store or signer has no multipart uploads.
        offers: the tasks that accept uploads.
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
        """Validate a request; return it with a canonical media type, a name without folders, and checked options.

        Raises TaskMissing, TooLarge, WrongType (the file's media type) or BadInput, which name the accepted values.
        """
        offer = self._offers.get(asked.task)
        if offer is None or not offer.takes:
            raise TaskMissing(f"no task {asked.task[:100]!a} accepts uploads; see GET /v1/session for those that do")
        media_type = _accepted_type(asked, offer)
        if asked.sha256 and not _SHA256.match(asked.sha256):
            raise BadInput("sha256 must have 64 lower-case hex digits")
        most = min(offer.max_bytes, self._store.settings.uploads.max_bytes, MAX_BYTES)
        if asked.size_bytes == 0:
            raise BadInput(f"{file_name(asked.name)[:100]!r} is empty (0 bytes): choose a file with content")
        if not 0 < asked.size_bytes <= most:
            raise TooLarge(f"an upload for {asked.task} must have 1 to {most:,} bytes, not {asked.size_bytes:,}")
        if asked.form and not (isinstance(self._signer, FormSigner) and isinstance(self._blobs, ConditionalCopier)):
            raise BadInput(NO_FORMS)
        if asked.form and Plan.of(asked.size_bytes).count:
            raise TooLarge("a form upload may have up to 16 MiB: leave `method` out and send the file in parts")
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
        """Issue a ticket for a validated request; return it with its Result in state UPLOADING.

        `part_size_bytes` and `client_may_not_confirm` as in `Ticket`. Raises TooLarge for a part size that S3 refuses.
        A crash in between leaves an unused ticket, which the reconciler deletes after a day.
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
        """Save a ticket and its Result in state UPLOADING; return the Result."""
        self._tickets.save(ticket)
        result = upload_result(ticket, UPLOADING)
        self._store.save(result, over=Overwrite.IF_ABSENT, ttl_s=RECORD_LIFE_S)
        return result

    def sign(self, ticket: Ticket) -> str:
        """Sign a ticket: see `TicketStore.sign`."""
        return self._tickets.sign(ticket)

    def read_signed(self, upload_id: str, signed: str) -> Ticket:
        """Read a signed ticket. Raises BadReference, also for an expired ticket, and RecordUnreadable."""
        ticket = self._tickets.read_signed(upload_id, signed)
        if time.time() - ticket.created_at >= OPEN_FOR_S:
            raise BadReference(f"the ticket of {upload_id} is older than a day: start a new upload")
        return ticket

    def withdraw(self, upload_id: str, *, owner: str) -> None:
        """Undo `begin` before any URL was returned. If a step fails, the rest expires."""
        ticket = self._tickets.find(upload_id)
        if ticket is None:
            return
        if ticket.upload_id:
            self._blobs.abort_parts(ticket.key, upload_id=ticket.upload_id)
        self._store.index.delete(upload_id)
        self._tickets.forget(upload_id)
        self._store.index.owners.remove_deleted(upload_id, owner=owner)

    def load(self, upload_id: str) -> Ticket:
        """Return the ticket of an upload. Raises ResultMissing."""
        found = self._tickets.find(upload_id)
        if found is None:
            raise ResultMissing(f"there is no upload with the id {upload_id[:100]!a}")
        return found

    def sign_urls(self, ticket: Ticket) -> UploadUrls:
        """Return new URLs for the missing bytes."""
        if ticket.asked.form:
            return UploadUrls(form=self._sign_form(ticket))
        if not ticket.upload_id:
            return UploadUrls(whole=self._sign_put(ticket))
        parts = received_parts(self._blobs, ticket)
        arrived = {one.number for one in parts}
        missing = [one for one in ticket.plan.slices() if one.number not in arrived][:URLS_AT_ONCE]
        return UploadUrls(parts=tuple(self._sign_each(ticket, missing)), received=parts)

    def sign_parts(self, ticket: Ticket, numbers: Sequence[int]) -> tuple[PartUrl, ...]:
        """Return new URLs for these parts, arrived or not. Raises BadInput for a number out of range."""
        wanted, count = set(numbers), ticket.plan.count
        if not all(1 <= number <= count for number in wanted):
            raise BadInput(f"upload {ticket.id} has parts 1 to {count}: use the part size of its ticket")
        return tuple(self._sign_each(ticket, [one for one in ticket.plan.slices() if one.number in wanted]))

    def _sign_put(self, ticket: Ticket) -> SignedUrl:
        return self._signer.sign_put(ticket.key, **self._put_arguments(ticket.asked))

    def _sign_form(self, ticket: Ticket) -> SignedForm:
        if not isinstance(self._signer, FormSigner):
            raise BadInput(NO_FORMS)
        return self._signer.sign_form(ticket.key, **self._put_arguments(ticket.asked))

    def _put_arguments(self, asked: UploadSpec) -> "_SinglePutArguments":
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
    """Return a new random id for the upload, its task and its Result."""
    return str(uuid.uuid4())


def file_name(name: str) -> str:
    """Return an untrusted file name in a safe form: its last path segment, at most 255 characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = replace_harmful(last).strip()
    return shown[-NAME_MAX_CHARS:] if shown.strip(".") else "upload"


def _accepted_type(asked: UploadSpec, offer: Offer) -> str:
    """Return the declared media type if the offer accepts it. Raises WrongType."""
    declared = canonical(asked.media_type)
    accepted = {canonical(one) for one in offer.takes}
    # A range accepts any subtype: what is no type must not reach a header.
    if not is_media_type(declared) or not any(_fits(declared, one) for one in accepted):
        raise WrongType(f"{asked.task} accepts {', '.join(sorted(accepted))}, not {declared[:100]!a}")
    return declared


def _fits(declared: str, accepted: str) -> bool:
    """Return True if a media type is the accepted one, or within an accepted range (RFC 9110, section 12.5.1)."""
    if accepted == "*/*":
        return True
    return declared.startswith(accepted[:-1]) if accepted.endswith("/*") else declared == accepted
