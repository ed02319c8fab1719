"""UppyUploads: the uploads of the browser library Uppy, for both of its protocols."""

import math
import time
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from resultstore.blobs.blobstore import Part
from resultstore.gateway.identity.caller import Caller, shorten
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.problems import Problem
from resultstore.gateway.uploads.tickets import TicketService
from resultstore.model.errors import ResultMissing, Unavailable
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.uploads.plan import LEAST_PART_BYTES
from resultstore.uploads.ticket import Ticket, TicketStore, UploadSpec

_MOST_CHUNKS: Final = 10_000
# A store that answers 503 during a restart is back in seconds, but Uppy 5 fails a file at the first error.
_RETRY_DELAYS_S: Final = (0.3, 1.0)

_log = Log(__name__)


class UppyUpload(BaseModel):
    """The upload that Uppy declares, with the fields of `POST /v1/uploads`; other fields are ignored.

    `part_size_bytes` must equal the result of `getChunkSize`; by default it is Uppy's own default.
    """

    model_config = ConfigDict(extra="ignore")

    size_bytes: int
    task: Annotated[str, Field(max_length=200)]
    options: dict[str, JsonValue] = {}
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    webhook_url: Annotated[str, Field(max_length=2048)] | None = None
    part_size_bytes: int | None = None


class UppyUploads:
    """Tickets as Uppy uses them: `key` is the id of the upload, `uploadId` must match the ticket.

    Args:
        store: holds the uploads.
        service: issues tickets.
        prefix: the gateway's path prefix.
    """

    def __init__(self, store: Store, service: TicketService, prefix: PathPrefix) -> None:
        self._store = store
        self._prefix = prefix
        self._service = service
        self._tickets = TicketStore(store)

    def begin(self, caller: Caller, request: UppyUpload, *, name: str, media_type: str, in_parts: bool) -> Ticket:
        """Issue a ticket for a file that Uppy sends in parts, or in one PUT whose completion it does not report."""
        spec = UploadSpec(
            name=name,
            size_bytes=request.size_bytes,
            media_type=media_type,
            task=request.task,
            options=dict(request.options),
            sha256=request.sha256 or "",
        )
        checked = self._service.check(spec, webhook_url=request.webhook_url)
        return self._service.begin(
            checked,
            owner=caller.owner,
            webhook_url=request.webhook_url,
            part_size_bytes=(request.part_size_bytes or chunk_size(checked.size_bytes)) if in_parts else 0,
            client_may_not_confirm=not in_parts,
        )

    def find_own(self, caller: Caller, key: str, upload_id: str) -> Ticket:
        """Return the ticket of an upload in parts. Raises ResultMissing, also for another owner's upload."""
        ticket, _ = self._service.find_own(caller, key)
        return require_upload_id(ticket, upload_id)

    def parts(self, ticket: Ticket) -> tuple[Part, ...]:
        """Return the uploaded parts; all parts if they were already joined, so that nothing is sent again."""
        if not ticket.closed and self._service.completion.find_stored(ticket) is None:
            return self._service.issuer.sign_urls(ticket).received
        return tuple(
            Part(number=one.number, size_bytes=one.size_bytes, etag=f"{ticket.id}-{one.number}")
            for one in ticket.plan.slices()
        )

    def complete(self, ticket: Ticket) -> None:
        """Join the parts and start the task, once. If this raises, the parts were not joined.

        If the parts are joined but the broker is unavailable, the reconciler starts the task within seconds.
        Raises UploadIncomplete, Unavailable, Problem 429 `quota`, and Problem 422 for a rejected file.
        """
        if not ticket.closed:
            with self._service.running_quota(ticket):  # a refusal must come before the parts are joined
                self._join_parts(ticket)
            try:
                self._service.start(ticket)
            except Unavailable as error:
                _log.warning("upload_not_started", id=ticket.id, reason=str(error))
                self._tickets.list_unconfirmed(ticket.id)
        result = self._store.load(ticket.id)
        if result is None:
            raise _unknown(ticket.id)
        if result.failure is not None and result.failure.type == "UploadRejected":
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "rejected", result.failure.message)

    def abort(self, ticket: Ticket) -> None:
        """Abort the upload, unless its parts were joined: as in S3, a joined upload cannot be aborted.

        Uppy 5 aborts after every failure, including a lost response to a successful completion.
        """
        if ticket.closed:
            return
        if self._service.completion.find_stored(ticket) is None:
            self._service.abandon(ticket)
        else:
            self._tickets.list_unconfirmed(ticket.id)

    def location(self, ticket: Ticket) -> str:
        """Return the URL of the Result; only a path if `gateway_url` is not set."""
        return self.url(f"/v1/results/{ticket.id}")

    def url(self, path: str) -> str:
        """Return the public URL of `path`; only a path if `gateway_url` is not set."""
        at = urlsplit(self._store.settings.gateway.url)
        return (f"{at.scheme}://{at.netloc}" if at.netloc else "") + self._prefix.link(path)

    def _join_parts(self, ticket: Ticket) -> None:
        for pause_s in _RETRY_DELAYS_S:
            try:
                self._service.completion.complete_bytes(ticket)
            except Unavailable:
                time.sleep(pause_s)
            else:
                return
        self._service.completion.complete_bytes(ticket)


def require_upload_id(ticket: Ticket, upload_id: str) -> Ticket:
    """Return the ticket if it is an upload in parts with this `uploadId`. Raises ResultMissing."""
    if not ticket.upload_id or upload_id != ticket.upload_id:
        raise _unknown(ticket.id)
    return ticket


def chunk_size(size_bytes: int) -> int:
    """Return Uppy's default part size (@uppy/aws-s3 5.1 MultipartUploader, 6.3 S3Uploader)."""
    return max(LEAST_PART_BYTES, math.ceil(size_bytes / _MOST_CHUNKS))


def _unknown(key: str) -> ResultMissing:
    return ResultMissing(f"no result is known under the id {shorten(key)}")
