"""CompanionRoutes: the `/s3` API of Uppy's server Companion, so that Uppy needs only the gateway."""

import time
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from resultstore.blobs.blobstore import SignedUrl
from resultstore.gateway.identity.caller import Caller, needs
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.middleware.write_guard import check_document
from resultstore.gateway.problems import Problem, error_response
from resultstore.gateway.uploads.routes import sendable
from resultstore.gateway.uploads.tickets import TicketService
from resultstore.gateway.uploads.uppy import UppyUpload, UppyUploads
from resultstore.gateway.views import NO_STORE
from resultstore.model.errors import BadInput, ResultStoreError
from resultstore.store import Store
from resultstore.uploads.issuing import URLS_AT_ONCE, PartUrl
from resultstore.uploads.ticket import Ticket

_META: Final = "metadata["
_NAME_MAX_CHARS: Final = 4096

_Uploader = Annotated[Caller, Depends(needs("upload"))]
_Key = Annotated[str, Query(max_length=1024)]


class BeginParts(BaseModel):
    """A file to be uploaded in parts; `metadata` has the fields of `POST /v1/uploads`."""

    model_config = ConfigDict(extra="ignore")

    filename: Annotated[str, Field(max_length=_NAME_MAX_CHARS)]
    type: Annotated[str, Field(max_length=200)]
    metadata: dict[str, JsonValue] = {}


class BegunView(BaseModel):
    """A new multipart upload; `key` is the id of the upload and of its Result."""

    key: str
    uploadId: str  # noqa: N815 - Uppy's name


class TargetView(BaseModel):
    """The URL for a request, its headers and its lifetime in seconds; `fields` contains the key."""

    method: str = "PUT"
    url: str
    headers: dict[str, str]
    expires: int
    fields: dict[str, str] = {}


class BatchView(BaseModel):
    """The URL of each part."""

    presignedUrls: dict[int, str]  # noqa: N815 - Uppy's name


class ArrivedView(BaseModel):
    """One completely uploaded part."""

    PartNumber: int
    Size: int
    ETag: str


class FinishedView(BaseModel):
    """A completed upload whose task was started; `key` is the id of its Result, `location` its URL."""

    location: str
    key: str


class _UppyErrorRoute(APIRoute):
    """A route whose errors also have a `message`, which Uppy shows to its users."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """Return the handler with these errors."""
        handle = super().get_route_handler()

        async def handle_with_message(request: Request) -> Response:
            try:
                return await handle(request)
            except (Problem, ResultStoreError, RequestValidationError) as error:
                response = error_response(request, error)
                body = msgspec.json.decode(response.body, type=dict[str, object])
                response.body = msgspec.json.encode(body | {"message": body["detail"]})
                response.headers["Content-Length"] = str(len(response.body))
                return response

        return handle_with_message


class CompanionRoutes:
    """`/s3` (@uppy/companion 6.2, server/controllers/s3.js), as @uppy/aws-s3 calls it."""

    def __init__(self, store: Store, service: TicketService, prefix: PathPrefix) -> None:
        self._uploads = UppyUploads(store, service, prefix)
        self._service = service

    def router(self) -> APIRouter:
        """Return the routes that Companion has for uploads from the browser."""
        router = APIRouter(prefix="/s3", tags=["uppy"], route_class=_UppyErrorRoute)
        for method, path, endpoint, summary in (
            ("GET", "/params", self.params, "Begin an upload in one PUT"),
            ("POST", "/multipart", self.begin, "Begin an upload in parts"),
            ("GET", "/multipart/{upload_id}", self.parts, "List the parts"),
            ("GET", "/multipart/{upload_id}/batch", self.batch, "Sign several parts"),
            ("GET", "/multipart/{upload_id}/{number}", self.part, "Sign one part"),
            ("POST", "/multipart/{upload_id}/complete", self.complete, "Complete an upload in parts"),
            ("DELETE", "/multipart/{upload_id}", self.abort, "Abort an upload in parts"),
        ):
            router.add_api_route(path, endpoint, methods=[method], summary=summary)
        return router

    def params(
        self,
        request: Request,
        caller: _Uploader,
        response: Response,
        *,
        filename: Annotated[str, Query(max_length=_NAME_MAX_CHARS)],
        type: Annotated[str, Query(max_length=200)],
        accept: Annotated[str, Header()] = "",
        sec_fetch_mode: Annotated[str, Header()] = "",
    ) -> TargetView:
        """Begin an upload in one PUT; `metadata[...]` has the fields of `POST /v1/uploads`.

        Uppy does not report its completion: the gateway polls for the bytes.
        """
        if sec_fetch_mode == "navigate":
            raise Problem(HTTPStatus.FORBIDDEN, "cross-site", "following a link does not start an upload")
        if "application/json" not in accept:  # Uppy 5 sends it; Uppy 6 does not, and would upload by form
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "invalid-request",
                "uploads by form are not supported here: with Uppy 6, use signRequest or shouldUseMultipart: true",
            )
        response.headers.update(NO_STORE)
        metadata = {
            name.removeprefix(_META).removesuffix("]"): value
            for name, value in request.query_params.items()
            if name.startswith(_META)
        }
        ticket = self._uploads.begin(caller, _parse_metadata(metadata), name=filename, media_type=type, in_parts=False)
        whole = self._service.first_links(ticket).whole
        assert whole is not None  # the upload is not in parts
        return TargetView(
            url=whole.url, headers=sendable(whole), expires=_seconds_left(whole), fields={"key": ticket.id}
        )

    def begin(self, request: BeginParts, caller: _Uploader, response: Response) -> BegunView:
        """Begin an upload in parts."""
        response.headers.update(NO_STORE)
        wanted = _parse_metadata(request.metadata)
        ticket = self._uploads.begin(caller, wanted, name=request.filename, media_type=request.type, in_parts=True)
        return BegunView(key=ticket.id, uploadId=ticket.upload_id)

    def parts(self, upload_id: str, key: _Key, caller: _Uploader, response: Response) -> list[ArrivedView]:
        """List the uploaded parts."""
        response.headers.update(NO_STORE)
        ticket = self._uploads.find_own(caller, key, upload_id)
        return [
            ArrivedView(PartNumber=one.number, Size=one.size_bytes, ETag=f'"{one.etag}"')
            for one in self._uploads.parts(ticket)
        ]

    def part(self, upload_id: str, number: int, key: _Key, *, caller: _Uploader, response: Response) -> TargetView:
        """Return the URL for one part; send it with exactly these `headers`."""
        response.headers.update(NO_STORE)
        [link] = self._links(self._uploads.find_own(caller, key, upload_id), [number])
        return TargetView(url=link.signed.url, headers=sendable(link.signed), expires=_seconds_left(link.signed))

    def batch(
        self,
        upload_id: str,
        key: _Key,
        *,
        partNumbers: Annotated[str, Query(pattern=r"^\d{1,5}(,\d{1,5})*$")],  # noqa: N803 - Uppy's name
        caller: _Uploader,
        response: Response,
    ) -> BatchView:
        """Return the URLs for up to 100 parts. Send each with the headers of a single part's response."""
        response.headers.update(NO_STORE)
        numbers = [int(one) for one in partNumbers.split(",")]
        if len(numbers) > URLS_AT_ONCE:
            raise BadInput(f"request at most {URLS_AT_ONCE} parts at a time")
        links = self._links(self._uploads.find_own(caller, key, upload_id), numbers)
        return BatchView(presignedUrls={one.part.number: one.signed.url for one in links})

    def complete(self, upload_id: str, key: _Key, caller: _Uploader, response: Response) -> FinishedView:
        """Complete the upload and start its task. Repeated calls start it only once.

        The list of parts in the body is ignored; the store's own list is used.
        """
        response.headers.update(NO_STORE)
        ticket = self._uploads.find_own(caller, key, upload_id)
        self._uploads.complete(ticket)
        return FinishedView(location=self._uploads.location(ticket), key=ticket.id)

    def abort(self, upload_id: str, key: _Key, caller: _Uploader, response: Response) -> dict[str, str]:
        """Abort the upload and delete its parts. A completed upload stays."""
        response.headers.update(NO_STORE)
        self._uploads.abort(self._uploads.find_own(caller, key, upload_id))
        return {}

    def _links(self, ticket: Ticket, numbers: list[int]) -> tuple[PartUrl, ...]:
        return self._service.issuer.sign_parts(ticket, numbers)


def _seconds_left(signed: SignedUrl) -> int:
    """Return the lifetime of a URL, which ends no later than the credentials that signed it."""
    return max(0, signed.expires_at - int(time.time()))


def _parse_metadata(metadata: dict[str, JsonValue] | dict[str, str]) -> UppyUpload:
    """Return the declared upload. Uppy turns all metadata into strings; `options` is then a JSON string.

    Raises Problem 422, naming what is missing.
    """
    options = metadata.get("options")
    if isinstance(options, str):
        check_document(options.encode())
        metadata = {**metadata, "options": msgspec.json.decode(options)}
    try:
        return UppyUpload.model_validate(metadata)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        detail = f"invalid metadata of the file: {wrong}; set it with uppy.setFileMeta"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail) from None
