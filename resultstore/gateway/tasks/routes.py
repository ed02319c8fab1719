"""Tasks: what may be started, and the start of it."""

import functools
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from resultstore.dispatch.offers import Offer, Offers
from resultstore.gateway.identity.caller import Caller, identified, needs
from resultstore.gateway.middleware.path_prefix import PathPrefix
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.gateway.tasks.starter import TaskStarter
from resultstore.gateway.views import NO_STORE, ResultView


class TaskRequest(BaseModel):
    """With what a task is started; its offer says which arguments it takes. `webhook_url` hears of the end."""

    model_config = ConfigDict(extra="forbid")

    arguments: dict[str, JsonValue] = {}
    webhook_url: Annotated[str, Field(max_length=2048)] | None = None


class OfferView(BaseModel):
    """A task that may be started; `takes` are the media types of its upload, `arguments` is a JSON Schema."""

    task: str
    title: str
    description: str
    takes: list[str]
    max_bytes: int
    arguments: dict[str, JsonValue]


class OffersView(BaseModel):
    """All tasks that may be started."""

    offers: list[OfferView]


class TaskRoutes:
    """`/v1/tasks`. Plain functions, which FastAPI runs on its thread pool."""

    def __init__(self, starting: TaskStarter, offers: Offers, *, views: ResultRenderer, prefix: PathPrefix) -> None:
        self._starting = starting
        self._offers = offers
        self._views = views
        self._prefix = prefix

    def router(self) -> APIRouter:
        """GET of the offers, POST of a start."""
        router = APIRouter(prefix="/v1/tasks", tags=["tasks"])
        router.add_api_route("", self.offered, methods=["GET"], response_model=OffersView, name="tasks")
        router.add_api_route(
            "/{task}", self.start, methods=["POST"], response_model=ResultView, status_code=202, name="start"
        )
        return router

    def offered(self, _caller: Annotated[Caller, Depends(identified)], response: Response) -> OffersView:
        """The tasks that may be started."""
        response.headers.update(NO_STORE)
        return offers_view(self._offers)

    def start(
        self,
        task: str,
        asked: TaskRequest,
        caller: Annotated[Caller, Depends(needs("run"))],
        response: Response,
        *,
        idempotency_key: Annotated[str, Header(description="the same key does the same work once, for a day")] = "",
    ) -> ResultView:
        """Start a task that takes no upload. Its Result is PENDING until a worker takes it."""
        webhook_url = asked.webhook_url or ""
        result = self._starting.start(caller, task, asked.arguments, key=idempotency_key, webhook_url=webhook_url)
        response.headers.update({**NO_STORE, "Location": self._prefix.link(f"/v1/results/{result.id}")})
        return self._views.one(result)


def offers_view(offers: Offers) -> OffersView:
    """What the gateway says of its offers, in the order they were given."""
    return OffersView(offers=[_offer_view(one) for one in offers.values()])


@functools.lru_cache(maxsize=256)  # a JSON Schema is made of each model
def _offer_view(offer: Offer) -> OfferView:
    return OfferView(
        task=offer.task,
        title=offer.title,
        description=offer.description,
        takes=list(offer.takes),
        max_bytes=offer.max_bytes,
        arguments=offer.arguments.model_json_schema(),
    )
