"""EventRoutes: `/v1/events`, one stream of server-sent events for all Results of a caller."""

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
_RESPONSES: Final[dict[int | str, dict[str, object]]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The stream"}
}

_log = Log(__name__)


class EventRoutes:
    """`/v1/events` of one Store.

    Args:
        store: holds the Results.
        hub: delivers changes.
        views: renders Results.
        quotas: limits the open streams of an owner.
    """

    def __init__(self, store: Store, hub: Hub, views: ResultRenderer, *, quotas: Quotas) -> None:
        self._snapshots = Snapshot(store, views)
        self._hub = hub
        self._quotas = quotas

    def router(self) -> APIRouter:
        """Return the route of the stream."""
        router = APIRouter(prefix="/v1", tags=["events"])
        router.add_api_route(
            "/events",
            self.events,
            methods=["GET"],
            status_code=200,  # FastAPI cannot read it from the constructor of EventStream
            response_class=EventStream,
            responses=_RESPONSES,
            summary="Stream events",
        )
        return router

    async def events(
        self,
        caller: Annotated[Caller, Depends(needs("read"))],
        last_event_id: Annotated[
            str, Header(description="the id of the last event received; the stream continues after it")
        ] = "",
    ) -> Response:
        """Stream the changes of the caller's Results as server-sent events (SSE).

        With the scope `admin`, the stream includes Results that have no owner.
        `snapshot` {items, complete}: the newest 200 Results; the first event, unless `Last-Event-ID` is resumable.
        `result` ResultView: the state or the Artifacts changed. `change` {id, state, progress, changed_at}: progress
        changed. `removed` {id}: the Result was deleted. `reset` {}: changes were missed; a snapshot follows. A comment
        is sent every 15 s as a heartbeat.
        """
        quota = StreamQuota(self._quotas, caller.owner)
        viewer = Viewer((caller.owner, "") if "admin" in caller.scopes else (caller.owner,))
        try:
            await quota.take()
            await self._hub.join(viewer)
            first = await self._snapshots.first_messages(viewer, last_event_id)
        except BaseException:  # no EventStream will clean up
            self._hub.leave(viewer)
            await quota.leave()
            raise
        return EventStream(viewer, first, quota=quota, snapshot=self._snapshots.snapshot, leave=self._hub.leave)


class EventStream(Response):
    """The response: the first messages, then changes, until either side ends the stream."""

    media_type = "text/event-stream"

    def __init__(
        self,
        viewer: Viewer,
        first: bytes,
        *,
        quota: StreamQuota,
        snapshot: Callable[[Viewer], Awaitable[bytes]],
        leave: Callable[[Viewer], None],
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._viewer = viewer
        self._first = first
        self._quota = quota
        self._snapshot = snapshot
        self._leave = leave

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client disconnects, the gateway stops, or the client is too slow."""
        sending = asyncio.create_task(self._send_all(send))
        disconnecting = asyncio.create_task(_wait_for_disconnect(receive))
        renewing = asyncio.create_task(self._quota.keep())
        self._viewer.sending = sending
        try:
            await asyncio.wait({sending, disconnecting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave(self._viewer)
            for task in (sending, disconnecting, renewing):
                task.cancel()
            ended, *_ = await asyncio.gather(
                sending, disconnecting, renewing, self._quota.leave(), return_exceptions=True
            )
        if isinstance(ended, Exception):  # Redis failed again: the client reconnects and gets an HTTP status
            _log.warning("stream_interrupted", error=str(ended))

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send(_body(self._first))
        while chunk := await self._viewer.take():
            await send(_body(chunk))
            if chunk == RESET:
                await send(_body(await self._snapshot(self._viewer)))
        if not self._viewer.dropped:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _body(chunk: bytes) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
