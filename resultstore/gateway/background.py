"""Background: the threads of a gateway process, which finish uploads and send webhooks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus

from anyio import to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.gateway.problems import problem
from resultstore.gateway.signing_check import SigningKeyCheck
from resultstore.model.errors import Misconfigured
from resultstore.model.result import Result
from resultstore.ops.owner_lists import rebuilding
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.uploads.reconcile import Reconciler
from resultstore.webhooks.hooks import Webhooks
from resultstore.webhooks.running import sending_webhooks
from resultstore.webhooks.sending import WebhookSender

_log = Log(__name__)


class BackgroundThreads:
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
        self._signing = SigningKeyCheck(store.settings)
        self._running: ExitStack | None = None
        self._stopped = False
        self._lock = threading.Lock()
        self.sending: WebhookSender | None = None

    @property
    def refusal(self) -> str:
        """Why nothing may be served; "" when nothing is known against it."""
        return self._signing.refusal

    def start(self) -> None:
        """Start the threads, unless they run. Raises Misconfigured, as `SigningKeyCheck` does."""
        with self._lock:
            self._stopped = False
            self._start()

    def start_once(self) -> None:
        """Start the threads, unless they run, were stopped or may not run."""
        if not self.waits:
            return
        with self._lock, suppress(Misconfigured):  # `refusal` says it
            if self.waits:
                _log.info("background_started", reason="first request: the server runs no lifespan of this app")
                self._start()

    @property
    def waits(self) -> bool:
        """Whether nothing has started the threads yet."""
        return self._running is None and not self._stopped and not self.refusal

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
            self._signing.start()
            begun.callback(self._signing.stop)
            if self._reconciler is not None:
                begun.enter_context(self._reconciler.running())
            begun.enter_context(rebuilding(self._store))
            self.sending = begun.enter_context(sending_webhooks(self._webhooks, self._store, self._view))
            self._running = begun.pop_all()


class BackgroundStarter:
    """ASGI middleware: the first request starts what no lifespan has started; none is served that must not be.

    Args:
        app: the application.
        background: its threads.
    """

    def __init__(self, app: ASGIApp, *, background: BackgroundThreads) -> None:
        self._app = app
        self._background = background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http":
            if self._background.waits:
                await to_thread.run_sync(self._background.start_once)
            if self._background.refusal:  # its text names keys: it is in the log
                detail = "the object store cannot be used safely: see the gateway's log"
                await problem(HTTPStatus.SERVICE_UNAVAILABLE, "store-forgeable", detail)(scope, receive, send)
                return
        await self._app(scope, receive, send)
