"""Session: what the page has to know before it shows anything: who asks, what he may do, and where bytes come from."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel

from resultstore.dispatch.offers import Offers
from resultstore.gateway.identity.caller import Caller, Identities, identified
from resultstore.gateway.tasks.routes import OfferView, offers_view
from resultstore.gateway.views import NO_STORE
from resultstore.store import Store
from resultstore.uploads.plan import PART_SIZE_BYTES, SINGLE_PUT_MAX_BYTES


class LimitsView(BaseModel):
    """How large an upload may be, and how it is sent: whole up to a size, above it in parts."""

    upload_max_bytes: int
    single_put_max_bytes: int
    part_size_bytes: int


class SessionView(BaseModel):
    """Who the caller is; `bytes_origin` is where bytes are sent and fetched, null without an object store."""

    mode: str
    owner: str
    scopes: list[str]
    limits: LimitsView
    offers: list[OfferView]
    bytes_origin: str | None


class SessionRoutes:
    """`/v1/session`."""

    def __init__(self, store: Store, identities: Identities, offers: Offers) -> None:
        self._store = store
        self._mode = identities.mode
        self._offers = offers
        self._limits = LimitsView(
            upload_max_bytes=store.settings.uploads.max_bytes,
            single_put_max_bytes=SINGLE_PUT_MAX_BYTES,
            part_size_bytes=PART_SIZE_BYTES,
        )

    def router(self) -> APIRouter:
        """GET of the session."""
        router = APIRouter(prefix="/v1", tags=["session"])
        router.add_api_route("/session", self.session, methods=["GET"], name="session")
        return router

    def session(self, caller: Annotated[Caller, Depends(identified)], response: Response) -> SessionView:
        """Who asks, what he may do, and where bytes come from."""
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
    """Scheme, host and port of the signed URLs; None without an object store."""
    return None if store.signer is None else store.signer.origin
