"""HealthRoutes: `/livez` and `/readyz`."""

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
FRESH_S = 1.0  # each dependency is probed once in this time, however many requests come
PROBE_ID = "readyz-probe"
_NO_STORE = {"Cache-Control": "no-store"}

_log = Log(__name__)


class Dependency(BaseModel):
    """One server that the gateway depends on: whether it answered, and after how many milliseconds."""

    ok: bool
    ms: float


class Readiness(BaseModel):
    """Ready when index and object store answer, so that Results can be looked up and downloaded.

    An unavailable broker is reported, but the gateway stays ready: only new tasks fail without it.
    """

    ready: bool
    dependencies: dict[str, Dependency]


class HealthRoutes:
    """`/livez` and `/readyz` of one Store. The reason of a failure is logged and not part of the response."""

    def __init__(self, store: Store, dispatcher: Dispatcher | None = None) -> None:
        self._probes: dict[str, Callable[[], object]] = {"index": lambda: store.index.peek(PROBE_ID)}
        blobs = store.blobs
        if blobs is not None:
            self._probes["blobs"] = lambda: blobs.stat(layout.LAYOUT_KEY)
        self._needed = frozenset(self._probes)
        if isinstance(dispatcher, ReadinessProbe):
            self._probes["broker"] = dispatcher.probe
        self._checking: asyncio.Task[dict[str, Dependency]] | None = None
        self._known: dict[str, Dependency] = {}
        self._known_until = 0.0

    def router(self) -> APIRouter:
        """Return the routes, for GET and HEAD."""
        router = APIRouter(tags=["health"])
        for path, endpoint, summary in (
            ("/livez", self.live, "Check liveness"),
            ("/readyz", self.ready, "Check readiness"),
        ):
            router.add_api_route(path, endpoint, methods=["GET"], response_model=None, summary=summary)
            router.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False, response_model=None)
        return router

    async def live(self) -> JSONResponse:
        """Report that the process answers (liveness)."""
        return JSONResponse({"live": True}, headers=_NO_STORE)

    async def ready(self) -> JSONResponse:
        """Report whether each dependency answers within 2 s, and how long it took (readiness).

        Answers 503 when the index or the object store does not answer. An outcome is cached for one second.
        """
        dependencies = await self._check()
        readiness = Readiness(ready=all(dependencies[name].ok for name in self._needed), dependencies=dependencies)
        status = HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse(readiness.model_dump(), status, headers=_NO_STORE)

    async def _check(self) -> dict[str, Dependency]:
        """Return the outcome of the last second; concurrent callers wait for the same probe."""
        if time.monotonic() < self._known_until:
            return self._known
        if self._checking is None:
            self._checking = asyncio.create_task(self._probe_all())
        return await asyncio.shield(self._checking)  # a client that disconnects does not cancel the probe of the others

    async def _probe_all(self) -> dict[str, Dependency]:
        try:
            found = await asyncio.gather(*(_timed_probe(name, probe) for name, probe in self._probes.items()))
            self._known = dict(zip(self._probes, found, strict=True))
            self._known_until = time.monotonic() + FRESH_S
            return self._known
        finally:
            self._checking = None


async def _timed_probe(name: str, probe: Callable[[], object]) -> Dependency:
    began = time.monotonic()
    ok = False
    try:
        async with asyncio.timeout(PROBE_LIMIT_S):
            await to_thread.run_sync(_run_probe, probe, abandon_on_cancel=True)
        ok = True
    except TimeoutError:
        _log.warning("dependency_slow", dependency=name, limit_s=PROBE_LIMIT_S)
    except ResultStoreError as error:
        _log.warning("dependency_failed", dependency=name, reason=str(error))
    return Dependency(ok=ok, ms=round(1000 * (time.monotonic() - began), 1))


def _run_probe(probe: Callable[[], object]) -> None:
    try:
        probe()
    except (BlobMissing, Damaged):
        return  # the store answered; `resultstore doctor` reports a missing or replaced layout marker
