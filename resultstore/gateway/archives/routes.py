"""ArchiveRoutes: `/v1/archives`: make a link to a ZIP of several Results, and stream it."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from resultstore.blobs.disposition import content_disposition
from resultstore.gateway.archives.contents import Entry, entries_of
from resultstore.gateway.archives.response import ArchiveResponse
from resultstore.gateway.archives.slots import ArchiveSlots
from resultstore.gateway.archives.tickets import ArchiveTicket, ArchiveTickets
from resultstore.gateway.identity.caller import MAX_ID_CHARS, Caller, if_visible, load_visible, needs, shorten
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.problems import Problem
from resultstore.gateway.views import NO_STORE
from resultstore.model.errors import TooLarge
from resultstore.model.result import Result, State
from resultstore.store import Store

MAX_RESULTS: Final = 500
MAX_FILES: Final = 2_000

_Reader = Annotated[Caller, Depends(needs("read"))]
_Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS)]


class ArchiveRequest(BaseModel):
    """The Results whose files go into the archive, in this order."""

    model_config = ConfigDict(extra="forbid")

    results: Annotated[list[_Id], Field(min_length=1, max_length=MAX_RESULTS)]


class ArchiveView(BaseModel):
    """A link to an archive: a path of this gateway that needs no token, until `expires_at` (epoch seconds)."""

    url: str
    expires_at: int
    files: int
    size_bytes: int


class ArchiveRoutes:
    """`/v1/archives` of one Store. FastAPI runs the synchronous function in its thread pool."""

    def __init__(self, store: Store, prefix: PathPrefix) -> None:
        self._store = store
        self._prefix = prefix
        self._tickets = ArchiveTickets(store)
        self._max_bytes = store.settings.gateway.archive_max_bytes
        self.slots = ArchiveSlots(store.settings.gateway.archives_at_once)

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/v1/archives", tags=["archives"])
        router.add_api_route(
            "",
            self.begin,
            methods=["POST"],
            status_code=HTTPStatus.CREATED,
            response_model=ArchiveView,
            summary="Link to a ZIP",
        )
        router.add_api_route(
            "",
            self.archive,
            methods=["GET"],
            response_class=Response,
            responses={200: {"content": {"application/zip": {}}}},
            summary="Download a ZIP",
        )
        return router

    def begin(self, request: ArchiveRequest, caller: _Reader, response: Response) -> ArchiveView:
        """Make a link to a ZIP of the files of several finished Results. It works for ten minutes, without a token.

        A Result that is unknown, or of another owner, gives 404. One that has not succeeded gives 409. The archive may
        have 2,000 files, and as many bytes as the operator allows.
        """
        response.headers.update(NO_STORE)
        wanted = list(dict.fromkeys(request.results))
        entries = self._checked([load_visible(self._store, caller, one) for one in wanted])
        secret, ticket = self._tickets.issue(caller, wanted)
        return ArchiveView(
            url=self._prefix.link(f"/v1/archives?ticket={secret}"),
            expires_at=ticket.expires_at,
            files=len(entries),
            size_bytes=sum(one.artifact.size_bytes for one in entries),
        )

    async def archive(
        self, ticket: Annotated[str, Query(max_length=100, description="from the link that POST returned")]
    ) -> Response:
        """Stream the ZIP of a link. Its entries are stored without compression, in ZIP64 where that is needed.

        Every byte is verified. If a file is damaged or gone, the connection is cut before `Content-Length` is reached.
        """
        known = await to_thread.run_sync(self._tickets.find, ticket)
        if known is None:
            raise Problem(HTTPStatus.NOT_FOUND, "archive-missing", "this link has expired: select the results again")
        slot = self.slots.take(known.owner)
        try:
            entries = await to_thread.run_sync(self._find, known, limiter=self.slots.threads)
            name = f"results-{datetime.now(UTC):%Y-%m-%d}.zip"
            disposition = content_disposition(name, media_type="application/zip", inline=False)
            threads = self.slots.threads
            return ArchiveResponse(self._store, entries, disposition=disposition, slot=slot, threads=threads)
        except BaseException:
            slot.release()
            raise

    def _find(self, ticket: ArchiveTicket) -> list[Entry]:
        """Return the files of a link, as the Results are now. Raises Problem 404 if one of them is gone."""
        found = [if_visible(ticket.caller, one) for one in self._store.load_many(ticket.results)]
        if None in found:
            detail = "a result of this archive was deleted: select the results again"
            raise Problem(HTTPStatus.NOT_FOUND, "archive-missing", detail)
        entries = self._checked([one for one in found if one is not None])
        for entry in entries:  # while an error can still be sent: not expired, and made by this store
            self._store.open(entry.artifact).close()
        return entries

    def _checked(self, results: list[Result]) -> list[Entry]:
        """Return the files of these Results. Raises Problem 409 `not-finished`, ArtifactMissing, TooLarge."""
        for one in results:
            if one.state != State.SUCCESS:
                detail = f"result {shorten(one.id)} has not succeeded: leave it out of the archive"
                raise Problem(HTTPStatus.CONFLICT, "not-finished", detail)
        entries = entries_of(results)
        size_bytes = sum(one.artifact.size_bytes for one in entries)
        if len(entries) > MAX_FILES or size_bytes > self._max_bytes:
            raise TooLarge(
                f"the archive would have {len(entries):,} files and {size_bytes:,} bytes; it may have {MAX_FILES:,} "
                f"files and {self._max_bytes:,} bytes: select fewer results"
            )
        if not entries:
            raise Problem(HTTPStatus.NOT_FOUND, "archive-missing", "these results have no files to download")
        return entries
