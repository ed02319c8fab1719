"""Hub: hands what happens to an owner's Results to all who watch it, over one feed a process."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from anyio import to_thread

from resultstore.gateway.events.feed_reader import FeedReader
from resultstore.gateway.events.messages import SseMessage
from resultstore.gateway.events.viewer import Viewer
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.model.errors import IndexUnavailable
from resultstore.store import Store
from resultstore.telemetry.logs import Log

_log = Log(__name__)

_TICK_S: Final = 1.0
_LINGER_S: Final = 30.0  # an owner whose page is loaded again is still heard
_HEARD_LIMIT_S: Final = 3.0


class _Audience:
    """All who watch one owner."""

    def __init__(self) -> None:
        self.viewers: set[Viewer] = set()
        self.heard = asyncio.Event()
        self.alone_since = time.monotonic()


class Hub:
    """Belongs to the event loop in which it is first joined; a thread of its own reads the feed.

    Args:
        store: where the Results are.
        views: shows what a viewer may see of one.
    """

    def __init__(self, store: Store, views: ResultRenderer) -> None:
        self._store = store
        self._views = views
        self._audiences: dict[str, _Audience] = {}
        self._newsroom: FeedReader | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.dropped_total = 0

    @property
    def viewers(self) -> int:
        """How many watch at the moment."""
        # A copy at once: the thread that serves metrics asks too.
        return len(set().union(*(audience.viewers for audience in list(self._audiences.values()))))

    def open(self) -> None:
        """Let viewers join again after `close`. For the event loop that will serve them."""
        self._closed = False

    async def join(self, viewer: Viewer) -> None:
        """Queue for `viewer`, from now on, what is told of his owners. Raises IndexUnavailable when none can be heard.

        Whatever happened before is for the caller to read, after this.
        """
        newsroom = self._opened()
        audiences = [self._audiences.setdefault(owner, _Audience()) for owner in viewer.owners]
        for audience in audiences:
            audience.viewers.add(viewer)
        new = [owner for owner in viewer.owners if not self._audiences[owner].heard.is_set()]
        try:
            if new:
                await to_thread.run_sync(newsroom.listen, new)
                async with asyncio.timeout(_HEARD_LIMIT_S):
                    await asyncio.gather(*(audience.heard.wait() for audience in audiences))
        except TimeoutError as error:
            self.leave(viewer)
            raise IndexUnavailable("the index does not tell of changes: see that Redis runs") from error
        except BaseException:  # cancelled: the client went away meanwhile
            self.leave(viewer)
            raise
        if self._closed:
            viewer.end()

    def leave(self, viewer: Viewer) -> None:
        """Queue nothing more for `viewer`."""
        self.dropped_total += viewer.dropped
        for owner in viewer.owners:
            if (audience := self._audiences.get(owner)) is not None:
                audience.viewers.discard(viewer)
                audience.alone_since = time.monotonic()

    def close(self) -> None:
        """End every stream in good order, and hear nothing more. For any thread."""
        self._closed = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        if self._newsroom is not None:
            self._newsroom.close()
        for audience in self._audiences.values():
            for viewer in audience.viewers:
                viewer.end()
        self._newsroom, self._ticking, self._loop, self._audiences = None, None, None, {}

    def _opened(self) -> FeedReader:
        """The newsroom, begun with the first viewer."""
        if self._newsroom is None:
            loop = asyncio.get_running_loop()

            def deliver(frames: Sequence[SseMessage]) -> None:
                with suppress(RuntimeError):  # the loop has ended meanwhile
                    loop.call_soon_threadsafe(self._deliver, frames)

            self._newsroom = FeedReader(self._store, self._views, deliver=deliver)
            self._loop, self._ticking = loop, loop.create_task(self._tick())
        return self._newsroom

    def _deliver(self, frames: Sequence[SseMessage]) -> None:
        for frame in frames:
            audience = self._audiences.get(frame.owner)
            if audience is None:
                continue
            if not audience.heard.is_set():  # the first that is said of an owner is that he is heard
                audience.heard.set()
                continue
            for viewer in audience.viewers:
                viewer.put(frame)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            for owner, audience in list(self._audiences.items()):
                try:
                    self._tick_for(owner, audience, now)
                except Exception as error:  # noqa: BLE001 - whatever it is, the other owners' streams go on
                    _log.warning("stream_not_kept_alive", error=repr(error))

    def _tick_for(self, owner: str, audience: _Audience, now: float) -> None:
        for viewer in audience.viewers:
            viewer.tick(now)
        if not audience.viewers and now - audience.alone_since > _LINGER_S and self._newsroom is not None:
            del self._audiences[owner]
            self._newsroom.leave(owner)
