"""Events: one stream for all that a caller owns (server-sent events, over fetch with Authorization)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header
from fastapi.responses import Response
from starlette.types import Message, Receive, Scope, Send

from resultstore.gateway.events.hub import Hub
from resultstore.gateway.events.messages import RESET
from resultstore.gateway.events.snapshot import Snapshot
from resultstore.gateway.events.stream_quota import StreamQuota
from resultstore.gateway.events.viewer import Viewer
from resultstore.gateway.identity.caller import Caller, needs
from resultstore.gateway.quotas import Quotas
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.store import Store
from resultstore.telemetry.logs import Log

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
    "X-Content-Type-Options": "nosniff",
}
_DESCRIBED: Final[dict[int | str, dict[str, object]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The stream"}
}

_log = Log(__name__)


class EventRoutes:
    """The one stream of one Store.

    Args:
        store: where the Results are.
        hub: what tells of changes.
        views: shows what a caller may see of a Result.
        quotas: how many streams an owner may have open.
    """

    def __init__(self, store: Store, hub: Hub, views: ResultRenderer, *, quotas: Quotas) -> None:
        self._past = Snapshot(store, views)
        self._hub = hub
        self._quotas = quotas

    def router(self) -> APIRouter:
        """GET of the stream."""
        router = APIRouter(prefix="/v1", tags=["events"])
        router.add_api_route(
            "/events", self.events, methods=["GET"], status_code=200, response_class=EventStream, responses=_DESCRIBED
        )
        return router

    async def events(
        self,
        caller: Annotated[Caller, Depends(needs("read"))],
        last_event_id: Annotated[
            str, Header(description="the id of the last event that was seen: what came after it is sent")
        ] = "",
    ) -> Response:
        """All that happens to the caller's Results, as server-sent events; for `admin` also to those nobody owns.

        `snapshot` {items, complete}: the newest 200 Results; the first event, unless Last-Event-ID could be followed.
        `result` ResultView: its state or its Artifacts have changed. `change` {id, state, progress, changed_at}: it is
        further. `removed` {id}. `reset` {}: something was missed; a snapshot follows. A comment comes every 15 s.
        """
        seat = StreamQuota(self._quotas, caller.owner)
        viewer = Viewer((caller.owner, "") if "admin" in caller.scopes else (caller.owner,))
        try:
            await seat.take()
            await self._hub.join(viewer)
            began = await self._past.since(viewer, last_event_id)
        except BaseException:  # nobody would answer for the viewer
            self._hub.leave(viewer)
            await seat.leave()
            raise
        return EventStream(viewer, began, seat=seat, again=self._past.snapshot, leave=self._hub.leave)


class EventStream(Response):
    """The answer: what has been, then what comes, until either side ends it."""

    media_type = "text/event-stream"

    def __init__(
        self,
        viewer: Viewer,
        began: bytes,
        *,
        seat: StreamQuota,
        again: Callable[[Viewer], Awaitable[bytes]],
        leave: Callable[[Viewer], None],
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._viewer = viewer
        self._began = began
        self._seat = seat
        self._again = again
        self._leave = leave

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client goes, the gateway ends, or the reader is too slow."""
        sending = asyncio.create_task(self._send_all(send))
        going, keeping = asyncio.create_task(_gone(receive)), asyncio.create_task(self._seat.keep())
        self._viewer.sending = sending
        try:
            await asyncio.wait({sending, going}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave(self._viewer)
            for task in (sending, going, keeping):
                task.cancel()
            ended, *_ = await asyncio.gather(sending, going, keeping, self._seat.leave(), return_exceptions=True)
        if isinstance(ended, Exception):  # Redis went away again: the client comes back, and is told so by a status
            _log.warning("stream_broken_off", error=str(ended))

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send(_body(self._began))
        while piece := await self._viewer.take():
            await send(_body(piece))
            if piece == RESET:
                await send(_body(await self._again(self._viewer)))
        if not self._viewer.dropped:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _body(piece: bytes) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": True}


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
