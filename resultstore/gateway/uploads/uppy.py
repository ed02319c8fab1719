"""Uppy: the uploads of that browser library, whichever of its two ways to ask it takes."""

import math
import time
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from resultstore.blobs.blobstore import Part
from resultstore.gateway.identity.caller import Caller, short
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.problems import Problem
from resultstore.gateway.uploads.tickets import TicketService
from resultstore.model.errors import ResultMissing, Unavailable
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.uploads.plan import LEAST_PART_BYTES
from resultstore.uploads.ticket import Ticket, Tickets, UploadSpec

_MOST_CHUNKS: Final = 10_000
# A store that answers 503 while it restarts is back in seconds. Uppy 5 gives a file up at the first failure.
_AGAIN_AFTER_S: Final = (0.3, 1.0)

_log = Log(__name__)


class UppyUpload(BaseModel):
    """What an upload is for; the names are those of `POST /v1/uploads`. Other names are somebody else's.

    `part_size_bytes` is what `getChunkSize` gives; Uppy's own default unless named.
    """

    model_config = ConfigDict(extra="ignore")

    size_bytes: int
    task: Annotated[str, Field(max_length=200)]
    options: dict[str, JsonValue] = {}
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    webhook_url: Annotated[str, Field(max_length=2048)] | None = None
    part_size_bytes: int | None = None


class UppyUploads:
    """Tickets as Uppy uses them: its `key` is the upload's id, its `uploadId` is checked against the ticket.

    Args:
        store: whose uploads.
        desk: gives out tickets.
        prefix: the path below which the gateway is reached.
    """

    def __init__(self, store: Store, desk: TicketService, prefix: PathPrefix) -> None:
        self._store = store
        self._prefix = prefix
        self._desk = desk
        self._tickets = Tickets(store)

    def begin(self, caller: Caller, wanted: UppyUpload, *, name: str, media_type: str, in_parts: bool) -> Ticket:
        """A ticket for a file that Uppy sends in one PUT, of which it never says that it is done, or in parts."""
        asked = UploadSpec(
            name=name,
            size_bytes=wanted.size_bytes,
            media_type=media_type,
            task=wanted.task,
            options=dict(wanted.options),
            sha256=wanted.sha256 or "",
        )
        checked = self._desk.checked(asked, webhook_url=wanted.webhook_url)
        return self._desk.begin(
            checked,
            owner=caller.owner,
            webhook_url=wanted.webhook_url,
            part_size_bytes=(wanted.part_size_bytes or chunk_size(checked.size_bytes)) if in_parts else 0,
            untold=not in_parts,
        )

    def mine(self, caller: Caller, key: str, upload_id: str) -> Ticket:
        """The ticket of an upload in parts. Raises ResultMissing, the same for a foreign as for an unknown one."""
        ticket, _ = self._desk.mine(caller, key)
        return checked_id(ticket, upload_id)

    def parts(self, ticket: Ticket) -> tuple[Part, ...]:
        """What has arrived: all of it where the parts were joined already, so that nothing is sent again."""
        if not ticket.closed and self._desk.completion.standing(ticket) is None:
            return self._desk.issuer.links(ticket).received
        return tuple(
            Part(number=one.number, size_bytes=one.size_bytes, etag=f"{ticket.id}-{one.number}")
            for one in ticket.plan.slices()
        )

    def finish(self, ticket: Ticket) -> None:
        """Join the parts and start the task, once. Who hears of a failure may believe it: nothing was joined then.

        What can be made up for after that, a broker that is away, is; the reconciler sends the task within seconds.
        Raises UploadIncomplete, Unavailable, Problem 429 `quota`, and Problem 422 for what was refused.
        """
        if not ticket.closed:
            with self._desk.room(ticket):  # a refusal must come before the parts are joined
                self._joined(ticket)
            try:
                self._desk.start(ticket)
            except Unavailable as error:
                _log.warning("upload_not_started", id=ticket.id, reason=str(error))
                self._tickets.expect(ticket.id)
        result = self._store.load(ticket.id)
        if result is None:
            raise _unknown(ticket.id)
        if result.failure is not None and result.failure.type == "UploadRejected":
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "rejected", result.failure.message)

    def abort(self, ticket: Ticket) -> None:
        """Forget the upload, unless its parts were joined: as in S3, that is no upload in parts any more.

        Uppy 5 sends this after every failure, also after an answer that was lost on its way.
        """
        if ticket.closed:
            return
        if self._desk.completion.standing(ticket) is None:
            self._desk.abandon(ticket)
        else:
            self._tickets.expect(ticket.id)

    def location(self, ticket: Ticket) -> str:
        """Where its Result is told of: a path, where `gateway_url` does not say how browsers reach the gateway."""
        return self.url(f"/v1/results/{ticket.id}")

    def url(self, path: str) -> str:
        """`path` of the gateway, as its page reaches it."""
        at = urlsplit(self._store.settings.gateway.url)
        return (f"{at.scheme}://{at.netloc}" if at.netloc else "") + self._prefix.link(path)

    def _joined(self, ticket: Ticket) -> None:
        for pause_s in _AGAIN_AFTER_S:
            try:
                self._desk.completion.joined(ticket)
            except Unavailable:
                time.sleep(pause_s)
            else:
                return
        self._desk.completion.joined(ticket)


def checked_id(ticket: Ticket, upload_id: str) -> Ticket:
    """The ticket, if it is one for parts under this id. Raises ResultMissing."""
    if not ticket.upload_id or upload_id != ticket.upload_id:
        raise _unknown(ticket.id)
    return ticket


def chunk_size(size_bytes: int) -> int:
    """How Uppy cuts a file unless it is told otherwise (@uppy/aws-s3 5.1 MultipartUploader, 6.3 S3Uploader)."""
    return max(LEAST_PART_BYTES, math.ceil(size_bytes / _MOST_CHUNKS))


def _unknown(key: str) -> ResultMissing:
    return ResultMissing(f"no result is known under the id {short(key)}")
