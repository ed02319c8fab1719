"""Event stream: the states of one Result as server-sent events, for FastAPI, Starlette and other ASGI frameworks."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from resultstore.aio.async_store import AsyncStore
from resultstore.model.errors import ResultDeleted
from resultstore.model.result import Result

EVENT_STREAM_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
)
_HEARTBEAT: Final = b":\n\n"  # a comment (WHATWG HTML, section 9.2.5)


def public_state(result: Result) -> Mapping[str, object]:
    """Return what viewers may see: state, progress, error message, and the names of Artifacts; no value and no key."""
    now, error = result.progress, result.failure
    return {
        "id": result.id,
        "state": str(result.state),
        "terminal": result.terminal,
        "progress": now and {"done": now.done, "total": now.total, "percent": now.percent, "note": now.note},
        "failure": error and {"type": error.type, "message": error.message},
        "artifacts": [
            {"name": one.name, "file_name": one.file_name, "media_type": one.media_type, "size_bytes": one.size_bytes}
            for one in result.artifacts
        ],
    }


async def event_stream(
    store: AsyncStore,
    result_id: str,
    *,
    render: Callable[[Result], object] = public_state,
    heartbeat_s: float = 15.0,
) -> AsyncGenerator[bytes, None]:
    """Yield server-sent events: `result` for each state of a Result, and `removed` if it is deleted.

    The stream ends after a terminal state; its data has `"terminal": true`, at which a client closes its EventSource.
    Check first that the viewer may see the Result. No viewer takes a thread.

    Args:
        store: looks up and watches.
        result_id: whose states.
        render: returns what is sent as JSON.
        heartbeat_s: after so many seconds without a change a comment is sent, so that proxies keep the connection.
    """
    async with contextlib.aclosing(store.watch(result_id)) as states:
        following = asyncio.ensure_future(anext(states, None))
        try:
            while True:
                done, _ = await asyncio.wait([following], timeout=heartbeat_s)
                if not done:
                    yield _HEARTBEAT
                    continue
                try:
                    state = following.result()
                except ResultDeleted:
                    yield _message("removed", {"id": result_id})
                    return
                if state is None:
                    return
                whole = await store.load(result_id) if state.terminal else None
                yield _message("result", render(whole or state))
                following = asyncio.ensure_future(anext(states, None))
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await following


def _message(kind: str, document: object) -> bytes:
    """Return one server-sent event; encoded JSON has no line breaks, so one `data` line holds it."""
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode(document) + b"\n\n"
