"""SigningRoutes: signs each request of an S3 client in the browser (Uppy's `signRequest`).

Bytes go to the store by presigned URL. The requests that create, list, complete and abort a multipart upload go to the
gateway. Each has a URL signed for one action on one upload, with the lifetime of a presigned URL.
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
from resultstore.gateway.local_bytes.errors import HttpRefusal, refusal_of, refusal_response
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.problems import Problem
from resultstore.gateway.uploads.routes import sendable
from resultstore.gateway.uploads.s3_xml import completed_xml, created_xml, parts_xml
from resultstore.gateway.uploads.tickets import TicketService
from resultstore.gateway.uploads.uppy import UppyUpload, UppyUploads, require_upload_id
from resultstore.gateway.views import NO_STORE
from resultstore.model.errors import BadReference, NotThere, ResultStoreError, UploadIncomplete
from resultstore.store import Store
from resultstore.uploads.ticket import Ticket

SIGNED_PATH: Final = "/v1/uppy/uploads/"
_PURPOSE: Final = "uppy"

_Uploader = Annotated[Caller, Depends(needs("upload"))]


class NewUpload(UppyUpload):
    """The file to upload, with the fields of `POST /v1/uploads`."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=4096)]
    media_type: Annotated[str, Field(max_length=200)]


class SignRequest(BaseModel):
    """The argument of Uppy's `signRequest`; the first request for a file also needs `upload`."""

    model_config = ConfigDict(extra="ignore")

    method: Literal["PUT", "POST", "GET", "DELETE"]
    key: Annotated[str, Field(max_length=1024)]
    uploadId: Annotated[str, Field(max_length=1024)] | None = None  # noqa: N815 - Uppy's name
    partNumber: int | None = None  # noqa: N815 - Uppy's name
    upload: NewUpload | None = None


class SignedView(BaseModel):
    """The URL and headers for the request. `key` is the id of the upload and of its Result."""

    url: str
    key: str
    headers: dict[str, str] = {}


class SignedQuery(BaseModel):
    """The query of the gateway's own signed URLs."""

    upload: Annotated[str, Field(max_length=1024)]
    expires: int
    mac: Annotated[str, Field(max_length=64)]


_SignedQuery = Annotated[SignedQuery, Query()]


class _XmlRoute(APIRoute):
    """A route whose errors are XML, as S3 clients expect."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Return the handler with these errors."""
        handle = super().get_route_handler()

        async def handle_with_xml(request: Request) -> Response:
            try:
                return await handle(request)
            except (Problem, ResultStoreError, RequestValidationError) as error:
                return refusal_response(_refusal(error))

        return handle_with_xml


class SigningRoutes:
    """`/v1/uppy`: the signing endpoint, and the routes of its signed URLs."""

    def __init__(self, store: Store, service: TicketService, prefix: PathPrefix) -> None:
        self._uploads = UppyUploads(store, service, prefix)
        self._service = service
        self._macs = store.signatures.macs
        self._expires_s = store.settings.uploads.url_expires_s

    def router(self) -> APIRouter:
        """Return the routes; the OpenAPI description contains only the signing endpoint."""
        router = APIRouter(tags=["uppy"])
        router.add_api_route("/v1/uppy/sign", self.sign, methods=["POST"], summary="Sign a request of Uppy")
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

    def sign(self, request: SignRequest, caller: _Uploader, response: Response) -> SignedView:
        """Sign one request: PUT or POST with `upload` begins a file; others belong to the upload `key` in parts."""
        response.headers.update(NO_STORE)
        if request.uploadId is None:
            return self._sign_new(request, caller)
        ticket = self._uploads.find_own(caller, request.key, request.uploadId)
        if request.method == "PUT":
            [link] = self._service.issuer.sign_parts(ticket, [request.partNumber or 0])
            return SignedView(url=link.signed.url, key=ticket.id, headers=sendable(link.signed))
        return self._sign_own({"POST": "complete", "GET": "parts", "DELETE": "abort"}[request.method], ticket)

    def begun(self, key: str, query: _SignedQuery) -> Response:
        """Answer CreateMultipartUpload with the upload that was created when its URL was signed."""
        ticket = self._check_signature("begun", key, query)
        return _xml(created_xml(ticket.id, upload_id=ticket.upload_id))

    def parts(self, key: str, query: _SignedQuery) -> Response:
        """Answer ListParts."""
        ticket = self._check_signature("parts", key, query)
        return _xml(parts_xml(ticket.id, upload_id=ticket.upload_id, parts=self._uploads.parts(ticket)))

    def complete(self, key: str, query: _SignedQuery) -> Response:
        """Answer CompleteMultipartUpload with the parts that the store lists; start the task only once."""
        ticket = self._check_signature("complete", key, query)
        self._uploads.complete(ticket)
        return _xml(completed_xml(ticket.id, location=self._uploads.location(ticket)))

    def abort(self, key: str, query: _SignedQuery) -> Response:
        """Answer AbortMultipartUpload."""
        self._uploads.abort(self._check_signature("abort", key, query))
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=dict(NO_STORE))

    def _sign_new(self, request: SignRequest, caller: Caller) -> SignedView:
        new, in_parts = request.upload, request.method == "POST"
        if request.method not in {"PUT", "POST"} or new is None:
            detail = "send `upload` with the first PUT or POST of a file, and `uploadId` with every other request"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)
        if in_parts:
            self._check_key()
        ticket = self._uploads.begin(caller, new, name=new.name, media_type=new.media_type, in_parts=in_parts)
        if in_parts:
            return self._sign_own("begun", ticket)
        whole = self._service.first_links(ticket).whole
        assert whole is not None  # the upload is not in parts
        return SignedView(url=whole.url, key=ticket.id, headers=sendable(whole))

    def _sign_own(self, action: str, ticket: Ticket) -> SignedView:
        self._check_key()
        expires = int(time.time()) + self._expires_s
        mac = self._macs.sign(_PURPOSE, action, ticket.id, ticket.upload_id, str(expires))
        query = urlencode({"upload": ticket.upload_id, "expires": expires, "mac": mac})
        return SignedView(url=self._uploads.url(f"{SIGNED_PATH}{ticket.id}/{action}?{query}"), key=ticket.id)

    def _check_signature(self, action: str, key: str, query: SignedQuery) -> Ticket:
        """Return the ticket that the URL was signed for. Raises BadReference, ResultMissing."""
        if not self._macs.agrees(query.mac, _PURPOSE, action, key, query.upload, str(query.expires)):
            raise BadReference("the signature does not match this request: request a new URL and use it unchanged")
        if time.time() >= query.expires:
            raise BadReference(f"the URL for {action} of upload {key} has expired: request a new one")
        return require_upload_id(self._service.issuer.load(key), query.upload)

    def _check_key(self) -> None:
        if not self._macs:
            detail = "uploads in parts need RESULTSTORE_SECRET_KEY, which is not set"
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, "no-secret-key", detail)


def _xml(document: str) -> Response:
    return Response(document, media_type="application/xml", headers=dict(NO_STORE))


def _refusal(error: Exception) -> HttpRefusal:
    """Return the error as S3 would express it."""
    if isinstance(error, Problem):
        code = "SlowDown" if error.status == HTTPStatus.TOO_MANY_REQUESTS else "InvalidRequest"
        return HttpRefusal(error.status, code, error.detail, headers=error.headers)
    if isinstance(error, UploadIncomplete):
        return HttpRefusal(HTTPStatus.BAD_REQUEST, "InvalidPart", str(error))
    if isinstance(error, NotThere):
        return HttpRefusal(HTTPStatus.NOT_FOUND, "NoSuchUpload", "the upload has ended or does not exist")
    if isinstance(error, ResultStoreError):
        return refusal_of(error)
    return HttpRefusal(HTTPStatus.FORBIDDEN, "AccessDenied", "the URL was not signed by this gateway")
