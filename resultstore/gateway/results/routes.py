"""ResultRoutes: `/v1/results`: look up, list, cancel, retry and delete Results, and redirect to Artifacts."""

import functools
from http import HTTPStatus
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import JSONResponse, Response

from resultstore.gateway.identity.caller import MAX_ID_CHARS, Caller, load_visible, may_see, needs, shorten
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.problems import Problem
from resultstore.gateway.quotas import QuotaKind, Quotas
from resultstore.gateway.results.batching import LookupBatcher
from resultstore.gateway.results.cursors import Cursors
from resultstore.gateway.results.pager import Filters, ResultPager
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.gateway.tasks.starter import TaskStarter
from resultstore.gateway.views import NO_STORE, LinkView, PageView, ResultView
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ArtifactMissing, ResultMissing
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.uploads.late_bytes import LateByteTracker

MAX_PAGE = 200

_Reader = Annotated[Caller, Depends(needs("read"))]
_Runner = Annotated[Caller, Depends(needs("run"))]
_Deleter = Annotated[Caller, Depends(needs("delete"))]
_Key = Annotated[str, Header(alias="Idempotency-Key", description="makes the request safe to repeat, for a day")]
_Text = Annotated[str, Query(max_length=200)]


class ResultRoutes:
    """`/v1/results` of one Store. FastAPI runs the synchronous functions in its thread pool."""

    def __init__(
        self, store: Store, *, starter: TaskStarter, quotas: Quotas, views: ResultRenderer, prefix: PathPrefix
    ) -> None:
        self._store = store
        self._starter = starter
        self._quotas = quotas
        self._views = views
        self._prefix = prefix
        self._late = LateByteTracker(store)
        self._lookups = LookupBatcher(store)
        self._clock_checked = False
        self._listing = ResultPager(store)
        self._cursors = Cursors(store.settings.security.secret_key.encode())

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/v1/results", tags=["results"])
        for path, endpoint, view, summary in (
            ("/{result_id}", self.result, ResultView, "Get a result"),
            ("/{result_id}/artifacts/{name}", self.artifact, LinkView, "Download an artifact"),
        ):
            router.add_api_route(path, endpoint, methods=["GET"], response_model=view, summary=summary)
            router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        router.add_api_route("", self.results, methods=["GET"], response_model=PageView, summary="List results")
        for path, change, summary in (
            ("/{result_id}/cancel", self.cancel, "Cancel a task"),
            ("/{result_id}/retry", self.retry, "Retry a task"),
        ):
            router.add_api_route(
                path, change, methods=["POST"], response_model=ResultView, status_code=202, summary=summary
            )
        router.add_api_route(
            "/{result_id}", self.delete, methods=["DELETE"], status_code=204, summary="Delete a result"
        )
        return router

    def results(
        self,
        caller: _Reader,
        *,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
        cursor: Annotated[str, Query(description="`next` of the previous page")] = "",
        state: _Text = "",
        task: _Text = "",
        q: Annotated[str, Query(max_length=200, description="substring of the id, the task or a file name")] = "",
    ) -> Response:
        """List the caller's Results, newest first, as long as any of their data is stored.

        `complete` is false if some of the caller's Results may be missing. This happens while the lists are rebuilt
        after a loss of Redis, beyond the newest 10,000, and if a record could not be read. The scope `admin` also lists
        Results without an owner until their record expires, a day by default.
        """
        filters = f"{state}\0{task}\0{q}"
        after = self._cursors.decode(cursor, owner=caller.owner, filters=filters) if cursor else None
        page = self._listing.page(caller, Filters(state, task, q), limit=limit, after=after)
        following = None if page.next is None else self._cursors.encode(page.next, owner=caller.owner, filters=filters)
        view = PageView(items=self._views.many(page.results), next=following, complete=page.complete)
        return _json_response(view.model_dump_json())

    async def result(self, result_id: str, caller: _Reader) -> Response:
        """Return the state, progress, failure and Artifacts of one Result."""
        return _json_response(await self._views.json_async(await self._lookups.load_visible(caller, result_id)))

    async def artifact(
        self,
        result_id: str,
        name: str,
        caller: _Reader,
        *,
        link: Annotated[bool, Query(description="return the URL as JSON instead of a redirect")] = False,
        inline: Annotated[bool, Query(description="let the browser display a file of a safe type")] = False,
    ) -> Response:
        """Redirect (302) to a presigned URL of the Artifact, from which the object store serves the bytes."""
        found = _find_artifact(await self._lookups.load_visible(caller, result_id), name)
        signed = await self._sign(found, inline=inline)
        if link:
            return JSONResponse(signed.model_dump(), headers=NO_STORE)
        return Response(status_code=HTTPStatus.FOUND, headers={**NO_STORE, "Location": signed.url})

    def cancel(self, result_id: str, caller: _Runner) -> Response:
        """Cancel a task. A Result that has already ended stays unchanged."""
        return self._accepted(self._views.one(self._starter.cancel(caller, result_id)))

    def retry(self, result_id: str, caller: _Runner, *, key: _Key = "") -> Response:
        """Start the same task with the same input and arguments again. Returns a new Result with `retry_of`."""
        retried = self._starter.retry(caller, result_id, key=key)
        return self._accepted(self._views.one(retried, retry_of=result_id))

    def delete(
        self,
        result_id: str,
        caller: _Deleter,
        *,
        force: Annotated[bool, Query(description="delete the input that other results still use")] = False,
    ) -> Response:
        """Delete an ended Result and its Artifacts permanently. After an error, repeat the request.

        A retry uses the input of the first Result. While such a retry is stored, deleting the first one is refused
        (409 `input-in-use`) without `force`.
        """
        try:
            found = load_visible(self._store, caller, result_id)
        except ResultMissing:
            self._finish_deletion(caller, result_id)
            raise
        if not found.terminal:
            detail = f"result {shorten(result_id)} has not ended: cancel it or its upload first"
            raise Problem(HTTPStatus.CONFLICT, "not-finished", detail)
        if not force:
            self._starter.check_input_unused(found)
        self._late.track_result(found.id)
        self._store.delete(found.id)
        self._quotas.leave(QuotaKind.RUNNING, found.owner, found.id)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=NO_STORE)

    def _finish_deletion(self, caller: Caller, result_id: str) -> None:
        """Resume a failed deletion of the caller's own Result: its record is gone, but bytes may remain."""
        tombstone = self._store.deleter.tombstone(result_id) if len(result_id) <= MAX_ID_CHARS else None
        if tombstone is not None and may_see(caller, tombstone):
            self._store.delete(result_id)

    def _accepted(self, view: ResultView) -> Response:
        location = self._prefix.link(f"/v1/results/{view.id}")
        return _json_response(view.model_dump_json(), status=HTTPStatus.ACCEPTED, headers={"Location": location})

    async def _sign(self, artifact: Artifact, *, inline: bool) -> LinkView:
        """Sign a URL. The first call asks the store for its clock, so it runs in a thread; later ones do no I/O."""
        if self._clock_checked:
            signed = self._store.link(artifact, inline=inline)
        else:
            signed = await to_thread.run_sync(functools.partial(self._store.link, artifact, inline=inline))
            self._clock_checked = True
        return LinkView(url=signed.url, expires_at=signed.expires_at)


def _find_artifact(result: Result, name: str) -> Artifact:
    artifact = result.artifact(name)
    if artifact is None:
        raise ArtifactMissing(f"result {shorten(result.id)} has no artifact {shorten(name)}; see its `artifacts`")
    return artifact


def _json_response(
    document: str | bytes, *, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> Response:
    """Return a JSON response; the document is already serialised, so FastAPI need not validate it."""
    return Response(document, status, headers={**NO_STORE, **(headers or {})}, media_type="application/json")
