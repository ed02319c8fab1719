"""ArchiveResponse: streams a ZIP to one client, and frees everything when it ends, whatever ended it."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import anyio
from anyio import to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from resultstore.gateway.archives.contents import Entry, zip_of
from resultstore.gateway.archives.slots import ArchiveSlot
from resultstore.gateway.views import NO_STORE
from resultstore.model.errors import ResultStoreError
from resultstore.store import Store
from resultstore.telemetry.logs import Log

IDLE_LIMIT_S: Final = 60.0  # the longest wait until a client takes a block

_log = Log(__name__)


class ArchiveResponse(StreamingResponse):
    """A ZIP of `entries`, with its length, so that a client notices a download that was broken off.

    Every byte is verified before it is sent. When a file is damaged, or gone, the connection is closed in the middle.
    Each step runs in a thread; `threads` bounds how many run at once.

    Args:
        store: holds the files.
        entries: the files.
        disposition: the header that names the download.
        slot: is released when the response has ended.
        threads: the limit of threads.
    """

    def __init__(
        self, store: Store, entries: list[Entry], *, disposition: str, slot: ArchiveSlot, threads: anyio.CapacityLimiter
    ) -> None:
        archive = zip_of(store, entries)
        self._blocks: Iterator[bytes] = iter(archive)
        self._slot = slot
        self._threads = threads
        headers = {**NO_STORE, "Content-Disposition": disposition, "Content-Length": str(len(archive))}
        super().__init__(self._stream(), media_type="application/zip", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the archive. If it cannot be completed, return without its end: the server then cuts the connection."""

        async def send_in_time(message: dict[str, object]) -> None:
            with anyio.fail_after(IDLE_LIMIT_S):
                await send(message)

        try:
            await super().__call__(scope, receive, send_in_time)  # type: ignore[arg-type]
        except* (ResultStoreError, ValueError) as errors:
            _log.warning("archive_broken", owner=self._slot.owner, error=str(errors.exceptions[0]))
        except* TimeoutError:
            _log.warning("archive_broken", owner=self._slot.owner, error="the client stopped reading")
        finally:
            try:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(_close, self._blocks, limiter=self._threads)
            finally:
                self._slot.release()

    async def _stream(self) -> AsyncIterator[bytes]:
        while block := await to_thread.run_sync(next, self._blocks, b"", limiter=self._threads):
            yield block


def _close(blocks: Iterator[bytes]) -> None:
    close = getattr(blocks, "close", None)
    if close is not None:
        close()
