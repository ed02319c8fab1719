"""Uploads: tickets for files that browsers and programs send to the object store, and their completion."""

from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from resultstore.blobs.blobstore import SignedUrl
from resultstore.gateway.idempotency import Idempotency
from resultstore.gateway.identity.caller import Caller, needs, visible
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.problems import Problem
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.gateway.uploads.tickets import TicketService
from resultstore.gateway.views import NO_STORE, ResultView
from resultstore.store import Store
from resultstore.uploads.issuing import UploadUrls, new_upload_id
from resultstore.uploads.ticket import OPEN_STATES, SIGNED_MAX_CHARS, UPLOADING, Ticket, UploadSpec

_NAME_MAX_CHARS: Final = 4096  # it is cut to what can be shown, later
_UNSENDABLE: Final = frozenset({"content-length", "host"})

_Signed = Annotated[str, Header(max_length=SIGNED_MAX_CHARS, description="`ticket` of the answer that began it")]
_Uploader = Annotated[Caller, Depends(needs("upload"))]


class UploadRequest(BaseModel):
    """What shall be uploaded, and for which task.

    `sha256` (hex) is verified by the store, or by the worker for an upload in parts; `webhook_url` hears of the end.
    `method` POST asks for a form, for pages without scripts; it is for up to 16 MiB, and a bucket.
    """

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=_NAME_MAX_CHARS)]
    size_bytes: Annotated[int, Field(strict=True)]
    media_type: Annotated[str, Field(max_length=200)]
    task: Annotated[str, Field(max_length=200)]
    options: dict[str, JsonValue] = {}
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    webhook_url: Annotated[str, Field(max_length=2048)] | None = None
    method: Literal["PUT", "POST"] = "PUT"


class PartUrlView(BaseModel):
    """Where one part is sent by PUT, exactly `size_bytes` long, with `headers` as they stand."""

    number: int
    size_bytes: int
    url: str
    headers: dict[str, str]


class PartsView(BaseModel):
    """How the file is cut; `urls` are those of the first 100 parts that have not arrived."""

    part_size_bytes: int
    count: int
    urls: list[PartUrlView]


class ReceivedView(BaseModel):
    """One part that has arrived whole."""

    number: int
    size_bytes: int
    etag: str


class UploadView(BaseModel):
    """Where the bytes go. `method` PUT: to `url`, with `headers` and the file's own length; MULTIPART: see `parts`;
    POST: as multipart/form-data to `url`, all `fields` before the file, which is the field `file`.

    Nothing is left to send where both `url` and `parts` are null. Who sends `ticket` as the header `Upload-Ticket` with
    later requests can go on although the index was lost; it is "" where the gateway has no secret key.
    """

    id: str
    state: str
    method: str
    url: str | None
    headers: dict[str, str]
    fields: dict[str, str] | None
    parts: PartsView | None
    received: list[ReceivedView]
    expires_at: int | None
    ticket: str = ""


class UploadRoutes:
    """`/v1/uploads` of one Store. Plain functions, which FastAPI runs on its thread pool."""

    def __init__(self, store: Store, desk: TicketService, *, views: ResultRenderer, prefix: PathPrefix) -> None:
        self._store = store
        self._desk = desk
        self._views = views
        self._prefix = prefix
        self._idempotency = Idempotency(store.index)

    def router(self) -> APIRouter:
        """POST of a ticket; GET, DELETE and completion of one."""
        router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
        router.add_api_route("", self.begin, methods=["POST"], status_code=201, response_model=UploadView)
        router.add_api_route("/{upload_id}", self.upload, methods=["GET"], response_model=UploadView)
        router.add_api_route("/{upload_id}", self.abandon, methods=["DELETE"], status_code=204)
        router.add_api_route(
            "/{upload_id}/complete", self.complete, methods=["POST"], status_code=202, response_model=ResultView
        )
        return router

    def begin(
        self,
        asked: UploadRequest,
        caller: _Uploader,
        response: Response,
        *,
        idempotency_key: Annotated[str, Header(description="the same key gives the same ticket, for a day")] = "",
    ) -> UploadView:
        """A ticket: where to send the bytes, which never pass through this gateway."""
        owner, said = caller.owner, asked.model_dump()
        plain = asked.model_dump(exclude={"sha256", "webhook_url", "method"})
        wanted = UploadSpec(**plain, sha256=asked.sha256 or "", form=asked.method == "POST")
        checked, new_id = self._desk.checked(wanted, webhook_url=asked.webhook_url), new_upload_id()
        upload_id = self._idempotency.begin(owner, idempotency_key, said=said, id=new_id)
        response.headers.update({**NO_STORE, "Location": self._prefix.link(f"/v1/uploads/{upload_id}")})
        if upload_id != new_id:
            return self.upload(upload_id, caller, response)
        try:
            begun = self._desk.begin(checked, owner=owner, upload_id=upload_id, webhook_url=asked.webhook_url)
            view = self._view(begun, UPLOADING, self._desk.first_links(begun))
            self._idempotency.done(owner, idempotency_key, said=said, id=upload_id)
        except Exception:
            self._desk.withdraw(owner, upload_id)
            self._idempotency.failed(owner, idempotency_key)
            raise
        return view

    def _view(self, ticket: Ticket, state: str, links: UploadUrls | None) -> UploadView:
        view = upload_view(ticket, state, links)
        return view if links is None else view.model_copy(update={"ticket": self._desk.issuer.signed(ticket)})

    def upload(
        self, upload_id: str, caller: _Uploader, response: Response, *, upload_ticket: _Signed = ""
    ) -> UploadView:
        """What has arrived, and fresh URLs for what has not: to resume after a pause."""
        response.headers.update(NO_STORE)
        ticket, state = self._desk.mine(caller, upload_id, signed=upload_ticket)
        is_open = not ticket.closed and state in OPEN_STATES
        return self._view(ticket, state, self._desk.issuer.links(ticket) if is_open else None)

    def complete(
        self, upload_id: str, caller: _Uploader, response: Response, *, upload_ticket: _Signed = ""
    ) -> ResultView:
        """All bytes are sent: start the task. Any number of calls start one."""
        response.headers.update({**NO_STORE, "Location": self._prefix.link(f"/v1/results/{upload_id}")})
        ticket, _ = self._desk.mine(caller, upload_id, signed=upload_ticket)
        if not ticket.closed:
            self._desk.start(ticket)
        return self._views.one(visible(self._store, caller, upload_id))

    def abandon(self, upload_id: str, caller: _Uploader, *, upload_ticket: _Signed = "") -> Response:
        """Forget the upload and what has arrived of it."""
        ticket, state = self._desk.mine(caller, upload_id, signed=upload_ticket)
        if ticket.closed or state not in OPEN_STATES:
            raise Problem(
                HTTPStatus.CONFLICT,
                "upload-over",
                "its task was sent, or it was refused: cancel or delete the result of the same id",
            )
        self._desk.abandon(ticket)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=dict(NO_STORE))


def upload_view(ticket: Ticket, state: str, links: UploadUrls | None) -> UploadView:
    """The ticket as its sender sees it: never the key by itself."""
    whole, form = (links.whole, links.form) if links else (None, None)
    parts = _parts_view(ticket, links) if links and ticket.upload_id else None
    signed = [one for one in (whole, form, *(each.signed for each in (links.parts if links else ()))) if one]
    return UploadView(
        id=ticket.id,
        state=state,
        method="MULTIPART" if ticket.upload_id else "POST" if ticket.asked.form else "PUT",
        url=whole.url if whole else form.url if form else None,
        headers=sendable(whole) if whole else {},
        fields=dict(form.fields) if form else None,
        parts=parts,
        received=[
            ReceivedView(number=one.number, size_bytes=one.size_bytes, etag=one.etag)
            for one in (links.received if links else ())
        ],
        expires_at=min((one.expires_at for one in signed), default=None),
    )


def _parts_view(ticket: Ticket, links: UploadUrls) -> PartsView:
    urls = [
        PartUrlView(
            number=one.part.number,
            size_bytes=one.part.size_bytes,
            url=one.signed.url,
            headers=sendable(one.signed),
        )
        for one in links.parts
    ]
    return PartsView(part_size_bytes=ticket.plan.part_size_bytes, count=ticket.plan.count, urls=urls)


def sendable(signed: SignedUrl) -> dict[str, str]:
    """The signed headers without those that browsers and HTTP clients set by themselves."""
    return {name: value for name, value in signed.headers.items() if name not in _UNSENDABLE}
