"""Health: whether the gateway lives, and whether what it needs answers."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from resultstore.dispatch.orders import Dispatcher, ReadinessProbe
from resultstore.model import layout
from resultstore.model.errors import BlobMissing, Damaged, ResultStoreError
from resultstore.store import Store
from resultstore.telemetry.logs import Log

PROBE_LIMIT_S = 2.0
FRESH_S = 1.0  # however many ask meanwhile, each dependency is asked once
PROBE_ID = "readyz-probe"
_NO_STORE = {"Cache-Control": "no-store"}

_log = Log(__name__)


class Dependency(BaseModel):
    """One server behind the gateway: whether it answered, and after how many milliseconds."""

    ok: bool
    ms: float


class Readiness(BaseModel):
    """Ready when results can be looked up and their bytes be had: index and blobs answer.

    A broker that is away is told, and stops new work alone: for that nobody should be cut off from what is there.
    """

    ready: bool
    dependencies: dict[str, Dependency]


class HealthRoutes:
    """`/livez` and `/readyz` of one Store. What is wrong in detail stands in the log, not in the answer."""

    def __init__(self, store: Store, dispatcher: Dispatcher | None = None) -> None:
        self._probes: dict[str, Callable[[], object]] = {"index": lambda: store.index.peek(PROBE_ID)}
        blobs = store.blobs
        if blobs is not None:
            self._probes["blobs"] = lambda: blobs.stat(layout.LAYOUT_KEY)
        self._needed = frozenset(self._probes)
        if isinstance(dispatcher, ReadinessProbe):
            self._probes["broker"] = dispatcher.probe
        self._asking: asyncio.Task[dict[str, Dependency]] | None = None
        self._known: dict[str, Dependency] = {}
        self._known_until = 0.0

    def router(self) -> APIRouter:
        """GET and HEAD of both."""
        router = APIRouter(tags=["health"])
        for path, endpoint in (("/livez", self.live), ("/readyz", self.ready)):
            router.add_api_route(path, endpoint, methods=["GET"], name=endpoint.__name__, response_model=None)
            router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False, response_model=None)
        return router

    async def live(self) -> JSONResponse:
        """This process answers."""
        return JSONResponse({"live": True}, headers=_NO_STORE)

    async def ready(self) -> JSONResponse:
        """Whether each dependency answers in time, and after how long; 503 when nothing can be looked up.

        An answer counts for a second.
        """
        told = await self._told()
        answer = Readiness(ready=all(told[name].ok for name in self._needed), dependencies=told)
        status = HTTPStatus.OK if answer.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse(answer.model_dump(), status, headers=_NO_STORE)

    async def _told(self) -> dict[str, Dependency]:
        """Return what is known of the last second; whoever asks meanwhile waits for the same answer."""
        if time.monotonic() < self._known_until:
            return self._known
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)  # one client that goes away takes nothing from the others

    async def _ask(self) -> dict[str, Dependency]:
        try:
            found = await asyncio.gather(*(_probed(name, probe) for name, probe in self._probes.items()))
            self._known = dict(zip(self._probes, found, strict=True))
            self._known_until = time.monotonic() + FRESH_S
            return self._known
        finally:
            self._asking = None


async def _probed(name: str, probe: Callable[[], object]) -> Dependency:
    began = time.monotonic()
    ok = False
    try:
        async with asyncio.timeout(PROBE_LIMIT_S):
            await to_thread.run_sync(_answers, probe, abandon_on_cancel=True)
        ok = True
    except TimeoutError:
        _log.warning("dependency_slow", dependency=name, limit_s=PROBE_LIMIT_S)
    except ResultStoreError as error:
        _log.warning("dependency_failed", dependency=name, reason=str(error))
    return Dependency(ok=ok, ms=round(1000 * (time.monotonic() - began), 1))


def _answers(probe: Callable[[], object]) -> None:
    try:
        probe()
    except (BlobMissing, Damaged):
        return  # the store answered; that its marker is missing or was replaced is for `resultstore doctor`
