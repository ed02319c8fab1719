"""Companion: the `/s3` contract of Uppy's own server, so that Uppy uploads to this store without one."""

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
from resultstore.gateway.problems import Problem, answer_to
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
    """A file that comes in parts; `metadata` says what for."""

    model_config = ConfigDict(extra="ignore")

    filename: Annotated[str, Field(max_length=_NAME_MAX_CHARS)]
    type: Annotated[str, Field(max_length=200)]
    metadata: dict[str, JsonValue] = {}


class BegunView(BaseModel):
    """An upload in parts: `key` is its id, and that of its Result."""

    key: str
    uploadId: str  # noqa: N815 - Uppy's name


class TargetView(BaseModel):
    """Where bytes are sent, with which headers, for how many seconds; `fields` names the key."""

    method: str = "PUT"
    url: str
    headers: dict[str, str]
    expires: int
    fields: dict[str, str] = {}


class BatchView(BaseModel):
    """The URL of each part."""

    presignedUrls: dict[int, str]  # noqa: N815 - Uppy's name


class ArrivedView(BaseModel):
    """One part that has arrived whole."""

    PartNumber: int
    Size: int
    ETag: str


class FinishedView(BaseModel):
    """The upload is whole, and its task sent: `key` is the id of its Result, `location` where it is told of."""

    location: str
    key: str


class _ToldRoute(APIRoute):
    """Errors carry a `message` also: what Uppy shows to people."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        """The route, with that addition."""
        answered = super().get_route_handler()

        async def told(request: Request) -> Response:
            try:
                return await answered(request)
            except (Problem, ResultStoreError, RequestValidationError) as error:
                answer = answer_to(request, error)
                body = msgspec.json.decode(answer.body, type=dict[str, object])
                answer.body = msgspec.json.encode(body | {"message": body["detail"]})
                answer.headers["Content-Length"] = str(len(answer.body))
                return answer

        return told


class CompanionRoutes:
    """`/s3` (@uppy/companion 6.2, server/controllers/s3.js), as @uppy/aws-s3 calls it."""

    def __init__(self, store: Store, desk: TicketService, prefix: PathPrefix) -> None:
        self._uploads = UppyUploads(store, desk, prefix)
        self._desk = desk

    def router(self) -> APIRouter:
        """What Companion serves for uploads from the browser itself."""
        router = APIRouter(prefix="/s3", tags=["uppy"], route_class=_ToldRoute)
        for method, path, endpoint in (
            ("GET", "/params", self.params),
            ("POST", "/multipart", self.begin),
            ("GET", "/multipart/{upload_id}", self.parts),
            ("GET", "/multipart/{upload_id}/batch", self.batch),
            ("GET", "/multipart/{upload_id}/{number}", self.part),
            ("POST", "/multipart/{upload_id}/complete", self.complete),
            ("DELETE", "/multipart/{upload_id}", self.abort),
        ):
            router.add_api_route(path, endpoint, methods=[method])
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
        """Where a file goes in one PUT; `metadata[...]` says what for. Nobody says later that it has arrived."""
        if sec_fetch_mode == "navigate":
            raise Problem(HTTPStatus.FORBIDDEN, "cross-site", "a link may not begin an upload")
        if "application/json" not in accept:  # Uppy 5 asks for it; Uppy 6 does not, and can only send a form
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "invalid-request",
                "no form is taken here: use signRequest with Uppy 6, or shouldUseMultipart: true",
            )
        response.headers.update(NO_STORE)
        said = {
            name.removeprefix(_META).removesuffix("]"): value
            for name, value in request.query_params.items()
            if name.startswith(_META)
        }
        ticket = self._uploads.begin(caller, _wanted(said), name=filename, media_type=type, in_parts=False)
        whole = self._desk.first_links(ticket).whole
        assert whole is not None  # it was begun as one PUT
        return TargetView(
            url=whole.url, headers=sendable(whole), expires=_seconds_left(whole), fields={"key": ticket.id}
        )

    def begin(self, asked: BeginParts, caller: _Uploader, response: Response) -> BegunView:
        """A ticket for a file in parts."""
        response.headers.update(NO_STORE)
        wanted = _wanted(asked.metadata)
        ticket = self._uploads.begin(caller, wanted, name=asked.filename, media_type=asked.type, in_parts=True)
        return BegunView(key=ticket.id, uploadId=ticket.upload_id)

    def parts(self, upload_id: str, key: _Key, caller: _Uploader, response: Response) -> list[ArrivedView]:
        """The parts that have arrived."""
        response.headers.update(NO_STORE)
        ticket = self._uploads.mine(caller, key, upload_id)
        return [
            ArrivedView(PartNumber=one.number, Size=one.size_bytes, ETag=f'"{one.etag}"')
            for one in self._uploads.parts(ticket)
        ]

    def part(self, upload_id: str, number: int, key: _Key, *, caller: _Uploader, response: Response) -> TargetView:
        """Where one part goes, with `headers` as they stand."""
        response.headers.update(NO_STORE)
        [link] = self._links(self._uploads.mine(caller, key, upload_id), [number])
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
        """Where up to 100 parts go. Their headers are those of a single part's answer."""
        response.headers.update(NO_STORE)
        numbers = [int(one) for one in partNumbers.split(",")]
        if len(numbers) > URLS_AT_ONCE:
            raise BadInput(f"ask for at most {URLS_AT_ONCE} parts at a time")
        links = self._links(self._uploads.mine(caller, key, upload_id), numbers)
        return BatchView(presignedUrls={one.part.number: one.signed.url for one in links})

    def complete(self, upload_id: str, key: _Key, caller: _Uploader, response: Response) -> FinishedView:
        """All parts are sent: join them, start the task. Any number of calls start one.

        The list of parts in the body is not used: the store's own is.
        """
        response.headers.update(NO_STORE)
        ticket = self._uploads.mine(caller, key, upload_id)
        self._uploads.finish(ticket)
        return FinishedView(location=self._uploads.location(ticket), key=ticket.id)

    def abort(self, upload_id: str, key: _Key, caller: _Uploader, response: Response) -> dict[str, str]:
        """Forget the upload and its parts; one whose parts were joined stays."""
        response.headers.update(NO_STORE)
        self._uploads.abort(self._uploads.mine(caller, key, upload_id))
        return {}

    def _links(self, ticket: Ticket, numbers: list[int]) -> tuple[PartUrl, ...]:
        return self._desk.issuer.parts(ticket, numbers)


def _seconds_left(signed: SignedUrl) -> int:
    """For how long a URL works: as long as it was asked for, or as the credentials live that signed it."""
    return max(0, signed.expires_at - int(time.time()))


def _wanted(said: dict[str, JsonValue] | dict[str, str]) -> UppyUpload:
    """What an upload is for. Uppy makes text of every value in its metadata; `options` is JSON then.

    Raises Problem 422, naming what is missing.
    """
    options = said.get("options")
    if isinstance(options, str):
        check_document(options.encode())
        said = {**said, "options": msgspec.json.decode(options)}
    try:
        return UppyUpload.model_validate(said)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        detail = f"metadata of the file: {wrong}; see uppy.setFileMeta"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail) from None
