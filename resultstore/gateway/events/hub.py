"""Hub: distributes changes of Results to the open streams of their owners, from one feed per process."""

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
_LINGER_S: Final = 30.0  # how long an owner stays subscribed without viewers: a page may be loaded again
_SUBSCRIBE_LIMIT_S: Final = 3.0


class _Audience:
    """The viewers of one owner."""

    def __init__(self) -> None:
        self.viewers: set[Viewer] = set()
        self.subscribed = asyncio.Event()
        self.empty_since = time.monotonic()


class Hub:
    """Belongs to the event loop in which a viewer first joins; a separate thread reads the feed.

    Args:
        store: holds the Results.
        views: renders Results.
    """

    def __init__(self, store: Store, views: ResultRenderer) -> None:
        self._store = store
        self._views = views
        self._audiences: dict[str, _Audience] = {}
        self._reader: FeedReader | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self.dropped_total = 0

    @property
    def viewers(self) -> int:
        """The number of open streams."""
        # Copied first: the thread that serves metrics reads this too.
        return len(set().union(*(audience.viewers for audience in list(self._audiences.values()))))

    def open(self) -> None:
        """Allow viewers to join again after `close`. Call it in the event loop that will serve them."""
        self._closed = False

    async def join(self, viewer: Viewer) -> None:
        """Queue new changes for `viewer`. Raises IndexUnavailable when the index cannot be subscribed to.

        The caller reads earlier changes afterwards.
        """
        reader = self._start_reader()
        audiences = [self._audiences.setdefault(owner, _Audience()) for owner in viewer.owners]
        for audience in audiences:
            audience.viewers.add(viewer)
        new = [owner for owner in viewer.owners if not self._audiences[owner].subscribed.is_set()]
        try:
            if new:
                await to_thread.run_sync(reader.listen, new)
                async with asyncio.timeout(_SUBSCRIBE_LIMIT_S):
                    await asyncio.gather(*(audience.subscribed.wait() for audience in audiences))
        except TimeoutError as error:
            self.leave(viewer)
            raise IndexUnavailable("the index did not confirm the subscription: check that Redis runs") from error
        except BaseException:  # cancelled: the client disconnected
            self.leave(viewer)
            raise
        if self._closed:
            viewer.end()

    def leave(self, viewer: Viewer) -> None:
        """Remove `viewer`; nothing more is queued for it."""
        self.dropped_total += viewer.dropped
        for owner in viewer.owners:
            if (audience := self._audiences.get(owner)) is not None:
                audience.viewers.discard(viewer)
                audience.empty_since = time.monotonic()

    def close(self) -> None:
        """End every stream cleanly and stop reading the feed. Safe to call from any thread."""
        self._closed = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        if self._reader is not None:
            self._reader.close()
        for audience in self._audiences.values():
            for viewer in audience.viewers:
                viewer.end()
        self._reader, self._ticking, self._loop, self._audiences = None, None, None, {}

    def _start_reader(self) -> FeedReader:
        """Return the feed reader; start it for the first viewer."""
        if self._reader is None:
            loop = asyncio.get_running_loop()

            def deliver(messages: Sequence[SseMessage]) -> None:
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(self._deliver, messages)

            self._reader = FeedReader(self._store, self._views, deliver=deliver)
            self._loop, self._ticking = loop, loop.create_task(self._tick())
        return self._reader

    def _deliver(self, messages: Sequence[SseMessage]) -> None:
        for message in messages:
            audience = self._audiences.get(message.owner)
            if audience is None:
                continue
            if not audience.subscribed.is_set():  # an owner's first message confirms the subscription
                audience.subscribed.set()
                continue
            for viewer in audience.viewers:
                viewer.put(message)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            for owner, audience in list(self._audiences.items()):
                try:
                    self._tick_for(owner, audience, now)
                except Exception as error:  # noqa: BLE001 - the other owners' streams must go on
                    _log.warning("stream_not_kept_alive", error=repr(error))

    def _tick_for(self, owner: str, audience: _Audience, now: float) -> None:
        for viewer in audience.viewers:
            viewer.tick(now)
        if not audience.viewers and now - audience.empty_since > _LINGER_S and self._reader is not None:
            del self._audiences[owner]
            self._reader.leave(owner)
