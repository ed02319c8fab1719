"""`create_app`: composes the gateway's HTTP application over one Store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from anyio import to_thread
from fastapi import FastAPI

from resultstore.dispatch.offers import NO_OFFERS, Offers
from resultstore.dispatch.orders import Dispatcher
from resultstore.gateway.archives.routes import ArchiveRoutes
from resultstore.gateway.background import BackgroundStarter, BackgroundThreads
from resultstore.gateway.events.hub import Hub
from resultstore.gateway.events.routes import EventRoutes
from resultstore.gateway.health import HealthRoutes
from resultstore.gateway.identity.application import APPLICATION_MODE, Identify, by_application, by_header
from resultstore.gateway.identity.identities import check_key, identities_of
from resultstore.gateway.metrics import Metrics
from resultstore.gateway.middleware.access_log import AccessLog
from resultstore.gateway.middleware.host_guard import HostGuard, allowed_hosts, page_origins
from resultstore.gateway.middleware.loopback_only import LoopbackOnly
from resultstore.gateway.middleware.path_prefix import PathPrefix, PathPrefixDetector
from resultstore.gateway.middleware.write_guard import WriteGuard
from resultstore.gateway.openapi import describe_problems, describe_webhooks
from resultstore.gateway.page import PageRoutes
from resultstore.gateway.problems import install_problems
from resultstore.gateway.quotas import Quotas
from resultstore.gateway.results.fast_path import FastPath
from resultstore.gateway.results.rendering import ResultRenderer
from resultstore.gateway.results.routes import ResultRoutes
from resultstore.gateway.results.share_routes import ShareRoutes
from resultstore.gateway.session import SessionRoutes, bytes_origin
from resultstore.gateway.tasks.registered_offers import RegisteredOffers
from resultstore.gateway.tasks.retryable import RetryFinder
from resultstore.gateway.tasks.routes import TaskRoutes
from resultstore.gateway.tasks.starter import TaskStarter
from resultstore.gateway.uploads.companion import CompanionRoutes
from resultstore.gateway.uploads.routes import UploadRoutes
from resultstore.gateway.uploads.tickets import TicketService
from resultstore.gateway.uploads.uppy_signing import SIGNED_PATH, SigningRoutes
from resultstore.store import Store
from resultstore.uploads.completion import UploadCompleter
from resultstore.uploads.issuing import TicketIssuer
from resultstore.uploads.reconcile import Reconciler
from resultstore.webhooks.hooks import Webhooks

API_VERSION = "1"


def create_app(
    store: Store,
    *,
    dispatcher: Dispatcher | None = None,
    offers: Offers = NO_OFFERS,
    identify: Identify | None = None,
) -> FastAPI:
    """Return the ASGI application that serves the Results of `store`, the page and the health checks.

    It accepts only loopback names and the host of `gateway_url` as `Host`. With `RESULTSTORE_AUTH=open` it answers only
    requests from this machine, whatever address the server listens on. Its lifespan runs the background threads that
    finish uploads and send webhooks. Where the server runs no lifespan for it (a mounted app), the first request
    starts them.

    Args:
        store: holds the Results.
        dispatcher: starts and cancels tasks; None makes the gateway read-only.
        offers: the tasks that callers may start.
        identify: authenticates callers in place of `RESULTSTORE_AUTH`: receives the Request, returns a Caller, or None
            for a client that has not signed in. It may be a coroutine function. It may read cookies: requests of
            pages of other sites are refused before it is called.

    Raises Misconfigured when the settings of `RESULTSTORE_AUTH` are incomplete, or without the secret key that
    authenticated callers need.
    """
    mode = store.settings.identity.auth if identify is None else APPLICATION_MODE
    check_key(store.settings, mode=mode)
    app = _new_app()
    app.state.store, app.state.dispatcher, app.state.offers = store, dispatcher, offers
    app.state.metrics = metrics = Metrics()
    app.state.tracing = nullcontext()  # `serve` enters it; the CLI may replace it
    app.state.webhooks = webhooks = _webhooks(store, offers)
    app.state.prefix = prefix = PathPrefix(store.settings)
    retry_finder = RetryFinder(store, offers)
    app.state.views = views = ResultRenderer(retry_finder, prefix)
    app.state.hub = hub = Hub(store, views)  # closed when the server stops, so that streams end
    app.state.mode = mode  # read by `serve`
    # Read by the dependency `needs`.
    app.state.authenticate = by_header(identities_of(store.settings)) if identify is None else by_application(identify)
    quotas = Quotas(store.index, store.settings, counting=store.byte_counter)
    starter = TaskStarter(
        store, dispatcher=dispatcher, offers=offers, quotas=quotas, webhooks=webhooks, retry_finder=retry_finder
    )
    results = ResultRoutes(store, starter=starter, quotas=quotas, views=views, prefix=prefix)
    app.include_router(results.router())
    app.include_router(ArchiveRoutes(store, prefix).router())
    app.include_router(SessionRoutes(store, mode, offers).router())
    app.include_router(TaskRoutes(starter, offers, views=views, prefix=prefix).router())
    app.include_router(EventRoutes(store, hub, views, quotas=quotas).router())
    if store.blobs is not None:
        app.include_router(ShareRoutes(store, prefix).router())
    app.state.reconciler = None
    if dispatcher is not None and store.blobs is not None:
        _add_uploads(app, store, dispatcher, offers=offers, quotas=quotas)
    app.state.background = BackgroundThreads(store, reconciler=app.state.reconciler, webhooks=webhooks, view=views.json)
    metrics.watch(hub, app.state.background, store.index)
    app.include_router(HealthRoutes(store, dispatcher).router())
    app.include_router(PageRoutes(bytes_origin(store), store.settings.identity).router())
    describe_webhooks(app)
    describe_problems(app)
    install_problems(app)
    _add_middleware(app, store, results, metrics=metrics)
    return app


def _new_app() -> FastAPI:
    return FastAPI(
        title="resultstore gateway",
        version=API_VERSION,
        docs_url=None,  # the interactive pages load scripts from a third party
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `tracing.py` and `metrics.py` do this
        redirect_slashes=False,  # its Location would contain the Host that the client sent
        lifespan=_lifespan,
    )


def _webhooks(store: Store, offers: Offers) -> Webhooks:
    """Return the webhooks, with the address of each offer and the default address of the settings."""
    known = offers.known if isinstance(offers, RegisteredOffers) else offers
    addresses = {task: offer.webhook_url for task, offer in known.items()}
    return Webhooks(store, addresses=addresses, default=store.settings.webhooks.url)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.hub.open()
    app.state.background.start()
    try:
        yield
    finally:
        app.state.hub.close()
        await to_thread.run_sync(app.state.background.stop)


def _add_uploads(app: FastAPI, store: Store, dispatcher: Dispatcher, *, offers: Offers, quotas: Quotas) -> None:
    completion = UploadCompleter(store, dispatcher=dispatcher)
    app.state.reconciler = Reconciler(store, completion)
    issuer = TicketIssuer(store, offers=offers)
    service = TicketService(store, completion, issuer=issuer, quotas=quotas, webhooks=app.state.webhooks)
    views, prefix = app.state.views, app.state.prefix
    app.include_router(UploadRoutes(store, service, views=views, prefix=prefix).router())
    app.include_router(CompanionRoutes(store, service, prefix).router())
    app.include_router(SigningRoutes(store, service, prefix).router())


def _add_middleware(app: FastAPI, store: Store, results: ResultRoutes, *, metrics: Metrics) -> None:
    """Add the middlewares; one that is added later sees a request earlier."""
    app.add_middleware(FastPath, result=results.result, artifact=results.artifact)
    app.add_middleware(WriteGuard, origins=page_origins(store.settings), unread=SIGNED_PATH)
    app.add_middleware(HostGuard, hosts=allowed_hosts(store.settings))
    if app.state.mode == "open":
        app.add_middleware(LoopbackOnly, behind_proxy=store.settings.identity.open_behind_proxy)
    app.add_middleware(PathPrefixDetector, prefix=app.state.prefix)
    app.add_middleware(BackgroundStarter, background=app.state.background)
    # Added last, so that it also logs refused requests.
    app.add_middleware(AccessLog, listener="gateway", observe=metrics.observer("gateway"))
