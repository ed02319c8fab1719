"""SessionRoutes: `/v1/session`, which the page asks first: the caller, its scopes, the limits and the offers."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel

from resultstore.dispatch.offers import Offers
from resultstore.gateway.identity.caller import Caller, identify
from resultstore.gateway.tasks.routes import OfferView, offers_view
from resultstore.gateway.views import NO_STORE
from resultstore.store import Store
from resultstore.uploads.plan import PART_SIZE_BYTES, SINGLE_PUT_MAX_BYTES


class LimitsView(BaseModel):
    """The largest upload in bytes; uploads above `single_put_max_bytes` are sent in parts."""

    upload_max_bytes: int
    single_put_max_bytes: int
    part_size_bytes: int


class SessionView(BaseModel):
    """The caller, its scopes and limits. `bytes_origin` is the origin of presigned URLs, null without object store."""

    mode: str
    owner: str
    scopes: list[str]
    limits: LimitsView
    offers: list[OfferView]
    bytes_origin: str | None


class SessionRoutes:
    """`/v1/session`."""

    def __init__(self, store: Store, mode: str, offers: Offers) -> None:
        self._store = store
        self._mode = mode
        self._offers = offers
        self._limits = LimitsView(
            upload_max_bytes=store.settings.uploads.max_bytes,
            single_put_max_bytes=SINGLE_PUT_MAX_BYTES,
            part_size_bytes=PART_SIZE_BYTES,
        )

    def router(self) -> APIRouter:
        """Return the route of the session."""
        router = APIRouter(prefix="/v1", tags=["session"])
        router.add_api_route("/session", self.session, methods=["GET"], summary="Get the session")
        return router

    def session(self, caller: Annotated[Caller, Depends(identify)], response: Response) -> SessionView:
        """Return the caller's owner and scopes, the upload limits, the offered tasks and the origin of the bytes."""
        response.headers.update(NO_STORE)
        return SessionView(
            mode=self._mode,
            owner=caller.owner,
            scopes=sorted(caller.scopes),
            limits=self._limits,
            offers=offers_view(self._offers).offers,
            bytes_origin=bytes_origin(self._store),
        )


def bytes_origin(store: Store) -> str | None:
    """Return scheme, host and port of presigned URLs, or None without an object store."""
    return None if store.signer is None else store.signer.origin
