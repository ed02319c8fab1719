"""UploadRoutes: `/v1/uploads`: tickets for uploads that go directly to the object store."""

from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from resultstore.blobs.blobstore import SignedUrl
from resultstore.gateway.idempotency import Idempotency
from resultstore.gateway.identity.caller import Caller, load_visible, needs
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.problems import Problem
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.gateway.uploads.tickets import TicketService
from resultstore.gateway.views import NO_STORE, ResultView
from resultstore.store import Store
from resultstore.uploads.issuing import UploadUrls, new_upload_id
from resultstore.uploads.ticket import OPEN_STATES, SIGNED_MAX_CHARS, UPLOADING, Ticket, UploadSpec

_NAME_MAX_CHARS: Final = 4096  # it is shortened later
_UNSENDABLE: Final = frozenset({"content-length", "host"})

_Signed = Annotated[str, Header(max_length=SIGNED_MAX_CHARS, description="`ticket` from the upload's first response")]
_Uploader = Annotated[Caller, Depends(needs("upload"))]


class UploadRequest(BaseModel):
    """The file to upload, and the task to start with it.

    `sha256` (hex) is verified by the store, or by the worker for an upload in parts. `webhook_url` is notified when the
    Result has ended. `method` POST requests an HTML form upload, for pages without scripts: up to 16 MiB, S3 only.
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
    """The URL for the PUT of one part of exactly `size_bytes`, with exactly these `headers`."""

    number: int
    size_bytes: int
    url: str
    headers: dict[str, str]


class PartsView(BaseModel):
    """The parts of the upload; `urls` holds those of the first 100 missing parts."""

    part_size_bytes: int
    count: int
    urls: list[PartUrlView]


class ReceivedView(BaseModel):
    """One completely uploaded part."""

    number: int
    size_bytes: int
    etag: str


class UploadView(BaseModel):
    """An upload and where to send its bytes, by `method`.

    PUT: send the file to `url` with `headers` and its exact length. MULTIPART: send the `parts`. POST: send
    multipart/form-data to `url`, with all `fields` before the file in the field `file`. If `url` and `parts` are null,
    nothing is left to send. Send `ticket` as the header `Upload-Ticket` with later requests, to continue even after a
    loss of the index. It is "" if the gateway has no secret key.
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
    """`/v1/uploads` of one Store. FastAPI runs the synchronous functions in its thread pool."""

    def __init__(self, store: Store, service: TicketService, *, views: ResultRenderer, prefix: PathPrefix) -> None:
        self._store = store
        self._service = service
        self._views = views
        self._prefix = prefix
        self._idempotency = Idempotency(store.index)

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
        for path, method, endpoint, status, view, summary in (
            ("", "POST", self.begin, HTTPStatus.CREATED, UploadView, "Begin an upload"),
            ("/{upload_id}", "GET", self.upload, HTTPStatus.OK, UploadView, "Get an upload"),
            ("/{upload_id}", "DELETE", self.abandon, HTTPStatus.NO_CONTENT, None, "Abort an upload"),
            ("/{upload_id}/complete", "POST", self.complete, HTTPStatus.ACCEPTED, ResultView, "Complete an upload"),
        ):
            router.add_api_route(
                path, endpoint, methods=[method], status_code=status, response_model=view, summary=summary
            )
        return router

    def begin(
        self,
        request: UploadRequest,
        caller: _Uploader,
        response: Response,
        *,
        idempotency_key: Annotated[str, Header(description="makes the request safe to repeat, for a day")] = "",
    ) -> UploadView:
        """Begin an upload. The response says where to send the bytes, which do not pass through the gateway."""
        owner, document = caller.owner, request.model_dump()
        plain = request.model_dump(exclude={"sha256", "webhook_url", "method"})
        wanted = UploadSpec(**plain, sha256=request.sha256 or "", form=request.method == "POST")
        checked, new_id = self._service.check(wanted, webhook_url=request.webhook_url), new_upload_id()
        upload_id = self._idempotency.begin(owner, idempotency_key, request=document, id=new_id)
        response.headers.update({**NO_STORE, "Location": self._prefix.link(f"/v1/uploads/{upload_id}")})
        if upload_id != new_id:
            return self.upload(upload_id, caller, response)
        try:
            ticket = self._service.begin(checked, owner=owner, upload_id=upload_id, webhook_url=request.webhook_url)
            view = self._view(ticket, UPLOADING, self._service.first_links(ticket))
            self._idempotency.complete(owner, idempotency_key, request=document, id=upload_id)
        except Exception:
            self._service.withdraw(owner, upload_id)
            self._idempotency.release(owner, idempotency_key)
            raise
        return view

    def _view(self, ticket: Ticket, state: str, links: UploadUrls | None) -> UploadView:
        view = upload_view(ticket, state, links)
        return view if links is None else view.model_copy(update={"ticket": self._service.issuer.sign(ticket)})

    def upload(
        self, upload_id: str, caller: _Uploader, response: Response, *, upload_ticket: _Signed = ""
    ) -> UploadView:
        """Return the uploaded parts and new URLs for the missing ones, to resume an upload."""
        response.headers.update(NO_STORE)
        ticket, state = self._service.find_own(caller, upload_id, signed=upload_ticket)
        is_open = not ticket.closed and state in OPEN_STATES
        return self._view(ticket, state, self._service.issuer.sign_urls(ticket) if is_open else None)

    def complete(
        self, upload_id: str, caller: _Uploader, response: Response, *, upload_ticket: _Signed = ""
    ) -> ResultView:
        """Complete the upload and start its task. Repeated calls start it only once."""
        response.headers.update({**NO_STORE, "Location": self._prefix.link(f"/v1/results/{upload_id}")})
        ticket, _ = self._service.find_own(caller, upload_id, signed=upload_ticket)
        if not ticket.closed:
            self._service.start(ticket)
        return self._views.one(load_visible(self._store, caller, upload_id))

    def abandon(self, upload_id: str, caller: _Uploader, *, upload_ticket: _Signed = "") -> Response:
        """Abort the upload and delete what has arrived."""
        ticket, state = self._service.find_own(caller, upload_id, signed=upload_ticket)
        if ticket.closed or state not in OPEN_STATES:
            raise Problem(
                HTTPStatus.CONFLICT,
                "upload-over",
                "the upload is complete or was rejected: cancel or delete the result with the same id",
            )
        self._service.abandon(ticket)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=dict(NO_STORE))


def upload_view(ticket: Ticket, state: str, links: UploadUrls | None) -> UploadView:
    """Return the view of a ticket, without its key in the store."""
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
    """Return the signed headers without those that browsers and HTTP clients set themselves."""
    return {name: value for name, value in signed.headers.items() if name not in _UNSENDABLE}
