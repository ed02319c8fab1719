"""ShareRoutes: make, list and revoke share links of Artifacts, and `/share/{token}`, to which they lead."""

from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from resultstore.gateway.identity.caller import Caller, load_visible, needs, shorten
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.views import NO_STORE
from resultstore.model.errors import ArtifactMissing
from resultstore.model.share import Share
from resultstore.store import Store
from resultstore.store.shares import MAX_COUNTED, MAX_LENGTH_S, MIN_LENGTH_S, CountedShare

SHARE_PATH: Final = "/share/"
_HEADERS: Final = {**NO_STORE, "X-Robots-Tag": "noindex"}

_Sharer = Annotated[Caller, Depends(needs("share"))]


class ShareRequest(BaseModel):
    """How a share link works: 30 days and any number of downloads by default, never longer than the Artifact."""

    model_config = ConfigDict(extra="forbid")

    expires_in_s: Annotated[int, Field(ge=MIN_LENGTH_S, le=MAX_LENGTH_S)] | None = None
    inline: bool = False
    max_uses: Annotated[int, Field(ge=0, le=MAX_COUNTED, description="0: any number")] = 0


class ShareView(BaseModel):
    """A share link. `uses` counts the downloads that began. `url` is a secret: it downloads the file."""

    id: str
    url: str
    name: str
    state: Literal["active", "expired", "revoked", "used up"]
    inline: bool
    created_at: int
    expires_at: int
    revoked_at: int | None
    max_uses: int
    uses: int


class SharesView(BaseModel):
    """The share links of a Result, newest first."""

    shares: list[ShareView]


class ShareRoutes:
    """The routes of share links. FastAPI runs the synchronous functions in its thread pool."""

    def __init__(self, store: Store, prefix: PathPrefix) -> None:
        self._store = store
        self._prefix = prefix

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(tags=["shares"])
        router.add_api_route(
            "/v1/results/{result_id}/artifacts/{name}/shares",
            self.share,
            methods=["POST"],
            response_model=ShareView,
            status_code=201,
            summary="Share an artifact",
        )
        router.add_api_route(
            "/v1/results/{result_id}/shares",
            self.shares,
            methods=["GET"],
            response_model=SharesView,
            summary="List share links",
        )
        router.add_api_route(
            "/v1/results/{result_id}/shares/{share_id}",
            self.revoke,
            methods=["DELETE"],
            status_code=204,
            summary="Revoke a share link",
        )
        router.add_api_route(
            SHARE_PATH + "{token}", self.follow, methods=["GET"], status_code=302, summary="Follow a share link"
        )
        return router

    def share(
        self, result_id: str, name: str, asked: ShareRequest, caller: _Sharer, *, request: Request, response: Response
    ) -> ShareView:
        """Make a link by which anyone can download this Artifact, until it expires or is revoked."""
        artifact = load_visible(self._store, caller, result_id).artifact(name)
        if artifact is None:
            raise ArtifactMissing(f"result {shorten(result_id)} has no artifact {shorten(name)}; see its `artifacts`")
        made = self._store.shares.create(
            artifact, expires_in_s=asked.expires_in_s, inline=asked.inline, max_uses=asked.max_uses
        )
        response.headers.update(NO_STORE)
        return self._view(CountedShare(made, 0), request)

    def shares(self, result_id: str, caller: _Sharer, request: Request, response: Response) -> SharesView:
        """List the share links of a Result with their counts, also those that have ended."""
        found = load_visible(self._store, caller, result_id)
        response.headers.update(NO_STORE)
        return SharesView(shares=[self._view(one, request) for one in self._store.shares.of_result(found.id)])

    def revoke(self, result_id: str, share_id: str, caller: _Sharer) -> Response:
        """Revoke a share link. URLs to which it has led work until they expire, 15 minutes by default."""
        self._store.shares.revoke(load_visible(self._store, caller, result_id).id, share_id)
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=NO_STORE)

    def follow(self, token: str) -> Response:
        """Count the download and redirect (302) to a new presigned URL. No authentication: the token is the permission.

        A token that the gateway did not make gets 404, a link that has ended 410.
        """
        url = self._store.shares.use(token).url
        return Response(status_code=HTTPStatus.FOUND, headers={**_HEADERS, "Location": url})

    def _view(self, counted: CountedShare, request: Request) -> ShareView:
        share = counted.share
        return ShareView(
            id=share.id,
            url=self._origin(request) + self._prefix.link(SHARE_PATH + self._store.shares.token(share)),
            name=share.name,
            state=self._state(share, counted.uses),
            inline=share.inline,
            created_at=share.created_at,
            expires_at=share.expires_at,
            revoked_at=share.revoked_at,
            max_uses=share.max_uses,
            uses=counted.uses,
        )

    def _state(self, share: Share, uses: int) -> Literal["active", "expired", "revoked", "used up"]:
        if share.revoked_at is not None:
            return "revoked"
        if self._store.blobs is not None and share.expires_at <= self._store.blobs.now():
            return "expired"
        return "used up" if share.max_uses and uses >= share.max_uses else "active"

    def _origin(self, request: Request) -> str:
        """Return the public origin of the gateway: of the setting, else of this request, whose Host was checked."""
        return self._prefix.origin or f"{request.url.scheme}://{request.url.netloc}"
