"""Results: one, many, their Artifacts, and what may be done with them."""

import functools
from http import HTTPStatus
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import JSONResponse, Response

from resultstore.gateway.identity.caller import MAX_ID_CHARS, Caller, may_see, needs, short, visible
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.problems import Problem
from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.gateway.results.batching import LookupBatcher
from resultstore.gateway.results.cursors import Cursors
from resultstore.gateway.results.listing import Filters, Listing
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.gateway.tasks.starter import TaskStarter
from resultstore.gateway.views import NO_STORE, LinkView, PageView, ResultView
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ArtifactMissing, ResultMissing
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.uploads.late_bytes import LateBytes

MAX_PAGE = 200

_Reader = Annotated[Caller, Depends(needs("read"))]
_Runner = Annotated[Caller, Depends(needs("run"))]
_Deleter = Annotated[Caller, Depends(needs("delete"))]
_Key = Annotated[str, Header(alias="Idempotency-Key", description="the same key does the same work once, for a day")]
_Word = Annotated[str, Query(max_length=200)]


class ResultRoutes:
    """`/v1/results` of one Store. Plain functions, which FastAPI runs on its thread pool: the Store is synchronous."""

    def __init__(
        self, store: Store, *, starting: TaskStarter, quotas: Quotas, views: ResultRenderer, prefix: PathPrefix
    ) -> None:
        self._store = store
        self._starting = starting
        self._quotas = quotas
        self._views = views
        self._prefix = prefix
        self._late = LateBytes(store)
        self._lookups = LookupBatcher(store)
        self._has_signed = False
        self._listing = Listing(store)
        self._cursors = Cursors(store.settings.security.secret_key.encode())

    def router(self) -> APIRouter:
        """What can be asked of Results, and done with them."""
        router = APIRouter(prefix="/v1/results", tags=["results"])
        for path, endpoint, view in (
            ("/{result_id}", self.result, ResultView),
            ("/{result_id}/artifacts/{name}", self.artifact, LinkView),
        ):
            router.add_api_route(path, endpoint, methods=["GET"], response_model=view, name=endpoint.__name__)
            router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        router.add_api_route("", self.results, methods=["GET"], response_model=PageView, name="results")
        for path, begin in (("/{result_id}/cancel", self.cancel), ("/{result_id}/retry", self.retry)):
            router.add_api_route(
                path, begin, methods=["POST"], response_model=ResultView, status_code=202, name=begin.__name__
            )
        router.add_api_route("/{result_id}", self.delete, methods=["DELETE"], status_code=204, name="delete")
        return router

    def results(
        self,
        caller: _Reader,
        *,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str, Query(description="`next` of the page before")] = "",
        state: _Word = "",
        task: _Word = "",
        q: Annotated[str, Query(max_length=200, description="stands somewhere in id, task or a file's name")] = "",
    ) -> Response:
        """Your Results, the newest first, for as long as anything of them is stored.

        `complete` is false when some of your own may be missing: while the lists are rebuilt after the loss of Redis,
        behind the newest 10,000, or when one could not be read. What nobody owns is listed for `admin` while its record
        lives, a day by default.
        """
        question = f"{state}\0{task}\0{q}"
        after = self._cursors.read(cursor, owner=caller.owner, question=question) if cursor else None
        page = self._listing.page(caller, Filters(state, task, q), limit=limit, after=after)
        goes_on = None if page.next is None else self._cursors.written(page.next, owner=caller.owner, question=question)
        view = PageView(items=self._views.many(page.results), next=goes_on, complete=page.complete)
        return _said(view.model_dump_json())

    async def result(self, result_id: str, caller: _Reader) -> Response:
        """State, progress, failure and Artifacts of one piece of work."""
        return _said(await self._views.json_soon(await self._lookups.visible(caller, result_id)))

    async def artifact(
        self,
        result_id: str,
        name: str,
        caller: _Reader,
        *,
        link: Annotated[bool, Query(description="answer with the URL as JSON instead of a redirect")] = False,
        inline: Annotated[bool, Query(description="shown by the browser where its type is harmless")] = False,
    ) -> Response:
        """Lead to the bytes: 302 to a presigned URL, which the object store itself serves."""
        named = _named(await self._lookups.visible(caller, result_id), name)
        signed = await self._signed(named, inline=inline)
        if link:
            return JSONResponse(signed.model_dump(), headers=NO_STORE)
        return Response(status_code=HTTPStatus.FOUND, headers={**NO_STORE, "Location": signed.url})

    def cancel(self, result_id: str, caller: _Runner) -> Response:
        """Ask the workers to leave it; what has ended already stays as it is."""
        return self._accepted(self._views.one(self._starting.cancel(caller, result_id)))

    def retry(self, result_id: str, caller: _Runner, *, key: _Key = "") -> Response:
        """Start the same work again: a new Result, whose `retry_of` is this one."""
        made = self._starting.again(caller, result_id, key=key)
        return self._accepted(self._views.one(made, retry_of=result_id))

    def delete(self, result_id: str, caller: _Deleter) -> Response:
        """Delete it for good, with its Artifacts. After an error, ask again."""
        try:
            found = visible(self._store, caller, result_id)
        except ResultMissing:
            self._finish_deletion(caller, result_id)
            raise
        if not found.terminal:
            detail = f"result {short(result_id)} has not ended: cancel it, or its upload, first"
            raise Problem(HTTPStatus.CONFLICT, "not-finished", detail)
        self._late.expect_of(found.id)
        self._store.delete(found.id)
        self._quotas.leave(QuotaKind.RUNNING, found.owner, found.id)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=NO_STORE)

    def _finish_deletion(self, caller: Caller, result_id: str) -> None:
        """Go on with a deletion of the caller's own that failed half way: the Result is gone, its bytes may not be."""
        stone = self._store.deleting.tombstone(result_id) if len(result_id) <= MAX_ID_CHARS else None
        if stone is not None and may_see(caller, stone):
            self._store.delete(result_id)

    def _accepted(self, view: ResultView) -> Response:
        location = self._prefix.link(f"/v1/results/{view.id}")
        return _said(view.model_dump_json(), status=HTTPStatus.ACCEPTED, headers={"Location": location})

    async def _signed(self, artifact: Artifact, *, inline: bool) -> LinkView:
        """The first asks the store for its time, on a thread of its own; then nobody is asked any more."""
        if self._has_signed:
            signed = self._store.link(artifact, inline=inline)
        else:
            signed = await to_thread.run_sync(functools.partial(self._store.link, artifact, inline=inline))
            self._has_signed = True
        return LinkView(url=signed.url, expires_at=signed.expires_at)


def _named(result: Result, name: str) -> Artifact:
    artifact = result.artifact(name)
    if artifact is None:
        raise ArtifactMissing(f"result {short(result.id)} has no artifact {short(name)}; its record lists them")
    return artifact


def _said(
    document: str | bytes, *, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> Response:
    """JSON as it stands: what pydantic has written needs no second look by FastAPI."""
    return Response(document, status, headers={**NO_STORE, **(headers or {})}, media_type="application/json")
