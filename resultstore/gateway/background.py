"""Background: the threads of a gateway process, which finish uploads and send webhooks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.uploads.reconcile import Reconciler
from resultstore.webhooks.hooks import Webhooks
from resultstore.webhooks.running import sending_webhooks
from resultstore.webhooks.sending import Sending

_log = structlog.get_logger(__name__)


class Background:
    """Starts with the application's lifespan, or with its first request where the server runs no lifespan.

    A server that mounts the application below another one runs the outer lifespan only.

    Args:
        store: whose Results.
        reconciler: finishes uploads that their clients did not complete; None without uploads.
        webhooks: what was left with the work.
        view: returns what a receiver may see of a Result, as JSON.
    """

    def __init__(
        self, store: Store, *, reconciler: Reconciler | None, webhooks: Webhooks, view: Callable[[Result], bytes]
    ) -> None:
        self._store = store
        self._reconciler = reconciler
        self._webhooks = webhooks
        self._view = view
        self._running: ExitStack | None = None
        self._stopped = False
        self._lock = threading.Lock()
        self.sending: Sending | None = None

    def start(self) -> None:
        """Start the threads, unless they run."""
        with self._lock:
            self._stopped = False
            self._start()

    def start_once(self) -> None:
        """Start the threads, unless they run or were stopped."""
        if self._running is not None or self._stopped:
            return
        with self._lock:
            if self._running is None and not self._stopped:
                _log.info("background_started", reason="first request: the server runs no lifespan of this app")
                self._start()

    def stop(self) -> None:
        """End the threads, within 15 s; only `start` starts them again."""
        with self._lock:
            self._stopped = True
            running, self._running, self.sending = self._running, None, None
            if running is not None:
                running.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run for as long as the block lasts."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    def _start(self) -> None:
        if self._running is not None:
            return
        with ExitStack() as begun:
            if self._reconciler is not None:
                begun.enter_context(self._reconciler.running())
            self.sending = begun.enter_context(sending_webhooks(self._webhooks, self._store, self._view))
            self._running = begun.pop_all()


class StartsBackground:
    """ASGI middleware: the first request starts what no lifespan has started.

    Args:
        app: the application.
        background: its threads.
    """

    def __init__(self, app: ASGIApp, *, background: Background) -> None:
        self._app = app
        self._background = background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            self._background.start_once()
        await self._app(scope, receive, send)
