"""BackgroundThreads: the threads of a gateway process that finish uploads and send webhooks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus

from anyio import to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from resultstore.gateway.problems import problem_response
from resultstore.gateway.signing_check import SigningKeyCheck
from resultstore.model.errors import Misconfigured
from resultstore.model.result import Result
from resultstore.ops.owner_lists import rebuild_in_background
from resultstore.store import Store
from resultstore.telemetry.logs import Log
from resultstore.uploads.reconcile import Reconciler
from resultstore.webhooks.hooks import Webhooks
from resultstore.webhooks.running import sending_webhooks
from resultstore.webhooks.sending import WebhookSender

_log = Log(__name__)


class BackgroundThreads:
    """Started by the application's lifespan, or by the first request where the server runs no lifespan.

    A server that mounts the application below another one runs the outer lifespan only.

    Args:
        store: holds the Results.
        reconciler: finishes uploads that their clients did not complete; None without uploads.
        webhooks: the registered webhooks.
        view: renders the Result in a webhook as JSON.
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
        """The reason why the gateway must not serve requests; "" if there is none."""
        return self._signing.refusal

    def start(self) -> None:
        """Start the threads, unless they run. Raises Misconfigured as `SigningKeyCheck.start` does."""
        with self._lock:
            self._stopped = False
            self._start()

    def start_once(self) -> None:
        """Start the threads, unless they run, were stopped, or must not run."""
        if not self.not_started:
            return
        with self._lock, suppress(Misconfigured):  # `refusal` holds the reason
            if self.not_started:
                _log.info("background_started", reason="first request: the server runs no lifespan of this app")
                self._start()

    @property
    def not_started(self) -> bool:
        """True until the threads have been started for the first time."""
        return self._running is None and not self._stopped and not self.refusal

    def stop(self) -> None:
        """Stop the threads within 15 s; afterwards only `start` starts them again."""
        with self._lock:
            self._stopped = True
            running, self._running, self.sending = self._running, None, None
            if running is not None:
                running.close()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the threads within the block."""
        self.start()
        try:
            yield
        finally:
            self.stop()

    def _start(self) -> None:
        if self._running is not None:
            return
        with ExitStack() as started:
            self._signing.start()
            started.callback(self._signing.stop)
            if self._reconciler is not None:
                started.enter_context(self._reconciler.run_in_background())
            started.enter_context(rebuild_in_background(self._store))
            self.sending = started.enter_context(sending_webhooks(self._webhooks, self._store, self._view))
            self._running = started.pop_all()


class BackgroundStarter:
    """ASGI middleware: start the threads on the first request; answer 503 while the gateway must not serve.

    Args:
        app: the next ASGI application.
        background: the threads to start.
    """

    def __init__(self, app: ASGIApp, *, background: BackgroundThreads) -> None:
        self._app = app
        self._background = background

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start the threads if needed, then pass the request on."""
        if scope["type"] == "http":
            if self._background.not_started:
                await to_thread.run_sync(self._background.start_once)
            if self._background.refusal:  # its text names access keys, so it is only logged
                detail = "the gateway refuses to use its object store, for safety: see the gateway's log"
                await problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "store-forgeable", detail)(scope, receive, send)
                return
        await self._app(scope, receive, send)
