"""Routes: results and their Artifacts by id."""

import time
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, RedirectResponse, Response

from resultstore.gateway.views import LinkView, ResultView, result_view
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ArtifactMissing, ResultMissing
from resultstore.model.result import Result
from resultstore.store import Store

MAX_ID_CHARS = 1024
_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_SHOWN_CHARS = 100


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

    def result(self, result_id: str, response: Response) -> ResultView:
        """State, progress, failure and Artifacts of one piece of work."""
        response.headers.update(_NO_STORE)
        return result_view(self._visible(result_id))

    def artifact(
        self,
        result_id: str,
        name: str,
        link: Annotated[bool, Query(description="answer with the URL as JSON instead of a redirect")] = False,  # noqa: FBT002
        inline: Annotated[bool, Query(description="to be shown by the browser instead of saved")] = False,  # noqa: FBT002
    ) -> Response:
        """Lead to the bytes: 302 to a presigned URL, which the object store itself serves."""
        signed = self._signed(self._named(result_id, name), inline=inline)
        if link:
            return JSONResponse(signed.model_dump(), headers=_NO_STORE)
        return RedirectResponse(signed.url, status_code=302, headers=_NO_STORE)

    def _signed(self, artifact: Artifact, *, inline: bool) -> LinkView:
        until = int(time.time()) + self._store.settings.url_expires_s
        url = self._store.url(artifact, inline=inline)
        return LinkView(url=url, expires_at=until if artifact.expires_at is None else min(until, artifact.expires_at))

    def _named(self, result_id: str, name: str) -> Artifact:
        artifact = self._visible(result_id).artifact(name)
        if artifact is None:
            raise ArtifactMissing(f"result {_short(result_id)} has no artifact {_short(name)}; its record lists them")
        return artifact

    def _visible(self, result_id: str) -> Result:
        """The Result, if anybody may see it: one with an owner is answered like an unknown one by this open gateway."""
        found = self._store.load(result_id) if len(result_id) <= MAX_ID_CHARS else None
        if found is None or found.owner:
            raise ResultMissing(f"no result is known under the id {_short(result_id)}")
        return found


def _short(name: str) -> str:
    return ascii(name if len(name) <= _SHOWN_CHARS else name[:_SHOWN_CHARS] + "...")
