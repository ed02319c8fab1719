"""Routes: results and their Artifacts by id."""

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, RedirectResponse, Response

from resultstore.gateway.caller import Caller, needs, short, visible
from resultstore.gateway.views import NO_STORE, LinkView, ResultView, result_view
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ArtifactMissing
from resultstore.store import Store

_Reader = Annotated[Caller, Depends(needs("read"))]


class ResultRoutes:
    """The handlers of one Store. Plain functions, which FastAPI runs on its thread pool: the Store is synchronous."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def router(self) -> APIRouter:
        """GET and HEAD of a Result and of each of its Artifacts."""
        router = APIRouter(prefix="/v1/results", tags=["results"])
        for path, endpoint, view in (
            ("/{result_id}", self.result, ResultView),
            ("/{result_id}/artifacts/{name}", self.artifact, LinkView),
        ):
            router.add_api_route(path, endpoint, methods=["GET"], response_model=view, name=endpoint.__name__)
            router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)
        return router

    def result(self, result_id: str, caller: _Reader, response: Response) -> ResultView:
        """State, progress, failure and Artifacts of one piece of work."""
        response.headers.update(NO_STORE)
        return result_view(visible(self._store, caller, result_id))

    def artifact(
        self,
        result_id: str,
        name: str,
        caller: _Reader,
        *,
        link: Annotated[bool, Query(description="answer with the URL as JSON instead of a redirect")] = False,
        inline: Annotated[bool, Query(description="to be shown by the browser instead of saved")] = False,
    ) -> Response:
        """Lead to the bytes: 302 to a presigned URL, which the object store itself serves."""
        signed = self._signed(self._named(caller, result_id, name), inline=inline)
        if link:
            return JSONResponse(signed.model_dump(), headers=NO_STORE)
        return RedirectResponse(signed.url, status_code=302, headers=NO_STORE)

    def _signed(self, artifact: Artifact, *, inline: bool) -> LinkView:
        until = int(time.time()) + self._store.settings.url_expires_s
        url = self._store.url(artifact, inline=inline)
        return LinkView(url=url, expires_at=until if artifact.expires_at is None else min(until, artifact.expires_at))

    def _named(self, caller: Caller, result_id: str, name: str) -> Artifact:
        artifact = visible(self._store, caller, result_id).artifact(name)
        if artifact is None:
            raise ArtifactMissing(f"result {short(result_id)} has no artifact {short(name)}; its record lists them")
        return artifact
