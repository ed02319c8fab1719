"""Signing: one endpoint that signs each request of an S3 client in the browser (Uppy's `signRequest`).

Bytes go to the store by its presigned URLs. Beginning, listing, completing and giving up an upload in parts are the
server's: the URLs for these lead back here, each good for one of them, on one upload, for as long as a presigned URL.
"""

import time
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from resultstore.gateway.identity.caller import Caller, needs
from resultstore.gateway.local_bytes.errors import HttpRefusal, refusal_of, refused
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.problems import Problem
from resultstore.gateway.uploads.routes import sendable
from resultstore.gateway.uploads.s3_xml import begun, completed, listed
from resultstore.gateway.uploads.tickets import TicketService
from resultstore.gateway.uploads.uppy import UppyUpload, UppyUploads, checked_id
from resultstore.gateway.views import NO_STORE
from resultstore.model.errors import BadReference, NotThere, ResultStoreError, UploadIncomplete
from resultstore.store import Store
from resultstore.uploads.ticket import Ticket

SIGNED_PATH: Final = "/v1/uppy/uploads/"
_PURPOSE: Final = "uppy"

_Uploader = Annotated[Caller, Depends(needs("upload"))]


class NewUpload(UppyUpload):
    """The file that an upload begins with, as `POST /v1/uploads` takes it."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=4096)]
    media_type: Annotated[str, Field(max_length=200)]


class SignRequest(BaseModel):
    """What Uppy hands to `signRequest`, as it stands; `upload` with the first request for a file."""

    model_config = ConfigDict(extra="ignore")

    method: Literal["PUT", "POST", "GET", "DELETE"]
    key: Annotated[str, Field(max_length=1024)]
    uploadId: Annotated[str, Field(max_length=1024)] | None = None  # noqa: N815 - Uppy's name
    partNumber: int | None = None  # noqa: N815 - Uppy's name
    upload: NewUpload | None = None


class SignedView(BaseModel):
    """Where the request is sent, with which headers. `key` is the id of the upload and of its Result."""

    url: str
    key: str
    headers: dict[str, str] = {}


class SignedQuery(BaseModel):
    """The query of our own signed URLs."""

    upload: Annotated[str, Field(max_length=1024)]
    expires: int
    mac: Annotated[str, Field(max_length=64)]


_SignedQuery = Annotated[SignedQuery, Query()]


class _XmlRoute(APIRoute):
    """Errors are XML, as an S3 client expects them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """The route, with that."""
        answered = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await answered(request)
            except (Problem, ResultStoreError, RequestValidationError) as error:
                return refused(_refusal(error))

        return told


class SigningRoutes:
    """`/v1/uppy`: the endpoint, and where its URLs lead."""

    def __init__(self, store: Store, desk: TicketService, prefix: PathPrefix) -> None:
        self._uploads = UppyUploads(store, desk, prefix)
        self._desk = desk
        self._macs = store.trust.macs
        self._expires_s = store.settings.uploads.url_expires_s

    def router(self) -> APIRouter:
        """POST of a request to sign; what a signed URL does is none of the API's description."""
        router = APIRouter(tags=["uppy"])
        router.add_api_route("/v1/uppy/sign", self.sign, methods=["POST"])
        signed = APIRouter(prefix=SIGNED_PATH.rstrip("/"), route_class=_XmlRoute, include_in_schema=False)
        for method, action, endpoint in (
            ("POST", "begun", self.begun),
            ("GET", "parts", self.parts),
            ("POST", "complete", self.complete),
            ("DELETE", "abort", self.abort),
        ):
            signed.add_api_route(f"/{{key}}/{action}", endpoint, methods=[method], response_model=None)
        router.include_router(signed)
        return router

    def sign(self, asked: SignRequest, caller: _Uploader, response: Response) -> SignedView:
        """A URL for one request: PUT or POST with `upload` for a new file, else of an upload in parts by its key."""
        response.headers.update(NO_STORE)
        if asked.uploadId is None:
            return self._new(asked, caller)
        ticket = self._uploads.mine(caller, asked.key, asked.uploadId)
        if asked.method == "PUT":
            [link] = self._desk.issuer.parts(ticket, [asked.partNumber or 0])
            return SignedView(url=link.signed.url, key=ticket.id, headers=sendable(link.signed))
        return self._ours({"POST": "complete", "GET": "parts", "DELETE": "abort"}[asked.method], ticket)

    def begun(self, key: str, query: _SignedQuery) -> Response:
        """CreateMultipartUpload: it was begun when its URL was signed, so that its id is known here."""
        ticket = self._asked_of("begun", key, query)
        return _xml(begun(ticket.id, upload_id=ticket.upload_id))

    def parts(self, key: str, query: _SignedQuery) -> Response:
        """ListParts."""
        ticket = self._asked_of("parts", key, query)
        return _xml(listed(ticket.id, upload_id=ticket.upload_id, parts=self._uploads.parts(ticket)))

    def complete(self, key: str, query: _SignedQuery) -> Response:
        """CompleteMultipartUpload, of the parts that the store lists: any number of calls start one task."""
        ticket = self._asked_of("complete", key, query)
        self._uploads.finish(ticket)
        return _xml(completed(ticket.id, location=self._uploads.location(ticket)))

    def abort(self, key: str, query: _SignedQuery) -> Response:
        """AbortMultipartUpload."""
        self._uploads.abort(self._asked_of("abort", key, query))
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=dict(NO_STORE))

    def _new(self, asked: SignRequest, caller: Caller) -> SignedView:
        new, in_parts = asked.upload, asked.method == "POST"
        if asked.method not in {"PUT", "POST"} or new is None:
            detail = "send `upload` with the PUT or POST that a file begins with, and `uploadId` with all others"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
        if in_parts:
            self._check_key()
        ticket = self._uploads.begin(caller, new, name=new.name, media_type=new.media_type, in_parts=in_parts)
        if in_parts:
            return self._ours("begun", ticket)
        whole = self._desk.first_links(ticket).whole
        assert whole is not None  # it was begun as one PUT
        return SignedView(url=whole.url, key=ticket.id, headers=sendable(whole))

    def _ours(self, action: str, ticket: Ticket) -> SignedView:
        self._check_key()
        expires = int(time.time()) + self._expires_s
        mac = self._macs.sign(_PURPOSE, action, ticket.id, ticket.upload_id, str(expires))
        query = urlencode({"upload": ticket.upload_id, "expires": expires, "mac": mac})
        return SignedView(url=self._uploads.url(f"{SIGNED_PATH}{ticket.id}/{action}?{query}"), key=ticket.id)

    def _asked_of(self, action: str, key: str, query: SignedQuery) -> Ticket:
        """The ticket that the URL was signed for. Raises BadReference, ResultMissing."""
        if not self._macs.agrees(query.mac, _PURPOSE, action, key, query.upload, str(query.expires)):
            raise BadReference("this URL was not signed by us for this request: ask for a new one, use it unchanged")
        if time.time() >= query.expires:
            raise BadReference(f"the URL to {action} of {key} has expired: ask for a new one")
        return checked_id(self._desk.issuer.ticket(key), query.upload)

    def _check_key(self) -> None:
        if not self._macs:
            detail = "uploads in parts are signed with RESULTSTORE_SECRET_KEY, which is not set"
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, "no-secret-key", detail)


def _xml(document: str) -> Response:
    return Response(document, media_type="application/xml", headers=dict(NO_STORE))


def _refusal(error: Exception) -> HttpRefusal:
    """How S3 says it."""
    if isinstance(error, Problem):
        code = "SlowDown" if error.status == HTTPStatus.TOO_MANY_REQUESTS else "InvalidRequest"
        return HttpRefusal(error.status, code, error.detail, headers=error.headers)
    if isinstance(error, UploadIncomplete):
        return HttpRefusal(HTTPStatus.BAD_REQUEST, "InvalidPart", str(error))
    if isinstance(error, NotThere):
        return HttpRefusal(HTTPStatus.NOT_FOUND, "NoSuchUpload", "the upload is over, or was never begun")
    if isinstance(error, ResultStoreError):
        return refusal_of(error)
    return HttpRefusal(HTTPStatus.FORBIDDEN, "AccessDenied", "the URL is not one that was signed here")
