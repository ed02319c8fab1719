"""TaskRoutes: `/v1/tasks`: list the offered tasks and start one."""

import functools
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from resultstore.dispatch.offers import Offer, Offers
from resultstore.gateway.identity.caller import Caller, identify, needs
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.gateway.tasks.starter import TaskStarter
from resultstore.gateway.views import NO_STORE, ResultView


class TaskRequest(BaseModel):
    """The arguments of a task, as its offer declares them. `webhook_url` is notified when the Result has ended."""

    model_config = ConfigDict(extra="forbid")

    arguments: dict[str, JsonValue] = {}
    webhook_url: Annotated[str, Field(max_length=2048)] | None = None


class OfferView(BaseModel):
    """An offered task; `takes` lists the media types of its upload, `arguments` is a JSON Schema."""

    task: str
    title: str
    description: str
    takes: list[str]
    max_bytes: int
    arguments: dict[str, JsonValue]


class OffersView(BaseModel):
    """All offered tasks."""

    offers: list[OfferView]


class TaskRoutes:
    """`/v1/tasks`. FastAPI runs the synchronous functions in its thread pool."""

    def __init__(self, starter: TaskStarter, offers: Offers, *, views: ResultRenderer, prefix: PathPrefix) -> None:
        self._starter = starter
        self._offers = offers
        self._views = views
        self._prefix = prefix

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
        router.add_api_route(
            "", self.offered, methods=["GET"], response_model=OffersView, name="tasks", summary="List tasks"
        )
        router.add_api_route(
            "/{task}", self.start, methods=["POST"], response_model=ResultView, status_code=202, summary="Start a task"
        )
        return router

    def offered(self, _caller: Annotated[Caller, Depends(identify)], response: Response) -> OffersView:
        """List the tasks that can be started, with their arguments."""
        response.headers.update(NO_STORE)
        return offers_view(self._offers)

    def start(
        self,
        task: str,
        request: TaskRequest,
        caller: Annotated[Caller, Depends(needs("run"))],
        response: Response,
        *,
        idempotency_key: Annotated[str, Header(description="makes the request safe to repeat, for a day")] = "",
    ) -> ResultView:
        """Start a task that takes no upload. Its Result is PENDING until a worker starts it."""
        webhook_url = request.webhook_url or ""
        result = self._starter.start(caller, task, request.arguments, key=idempotency_key, webhook_url=webhook_url)
        response.headers.update({**NO_STORE, "Location": self._prefix.link(f"/v1/results/{result.id}")})
        return self._views.one(result)


def offers_view(offers: Offers) -> OffersView:
    """Return the view of the offers, in their configured order."""
    return OffersView(offers=[_offer_view(one) for one in offers.values()])


@functools.lru_cache(maxsize=256)  # building a JSON Schema is slow
def _offer_view(offer: Offer) -> OfferView:
    return OfferView(
        task=offer.task,
        title=offer.title,
        description=offer.description,
        takes=list(offer.takes),
        max_bytes=offer.max_bytes,
        arguments=offer.arguments.model_json_schema(),
    )
