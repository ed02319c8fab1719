"""The commands that run servers and their background jobs: worker, gateway, reconcile."""

import os
import secrets
import sys
from functools import partial
from typing import Annotated

import msgspec
import typer

from resultstore.cli.extras import require_extra
from resultstore.cli.output import out, print_json
from resultstore.cli.own_app import OwnApp
from resultstore.connect import connect
from resultstore.dispatch.orders import Dispatcher
from resultstore.dispatch.registrations import Registrations
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.telemetry.logs import Log, configure_logs

SHIPPED_APP = "resultstore_tasks.app:app"
# The worker runs one process a core: threads of libvips and BLAS would only compete for the cores.
WORKER_ENVIRONMENT = {
    "VIPS_CONCURRENCY": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}


App = Annotated[
    str | None, typer.Option("--app", "-A", metavar="MODULE:APP", help="Your own Celery app, as for `celery -A`.")
]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(gateway)
    app.command()(worker)
    app.command()(reconcile)


def gateway(
    app: App = None,
    offers: Annotated[
        str, typer.Option(metavar="MODULE:NAME", help="The Offers; by default RESULTSTORE_OFFERS, or those of the app.")
    ] = "",
    fds: Annotated[
        list[int] | None,
        typer.Option("--fd", help="Listen on this inherited socket; a second one serves local bytes.", hidden=True),
    ] = None,
) -> None:
    """Serve results over HTTP. With blobs in a folder, also serve their bytes, on a second port.

    With --app it starts the tasks of your own app; its settings and its result backend say where results are.
    """
    own = OwnApp(app) if app else None
    settings = Settings() if own is None else own.store.settings
    configure_logs(json=settings.telemetry.log_json)
    compose = partial(_gateway_of, own=own, offers=offers)
    serve = require_extra("resultstore.gateway.listeners", extra="gateway").serve
    serve(settings, compose, store=None if own is None else own.store, fds=fds or [])


def worker(
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", min=1, help="Number of child processes.")] = 2,
    queues: Annotated[str | None, typer.Option("--queues", "-Q", help="Queues, separated by commas.")] = None,
    loglevel: Annotated[str, typer.Option(help="Log level of Celery.")] = "info",
    app: App = None,
) -> None:
    """Run the Celery worker that comes with resultstore (images, PDF, video, models, tables), or that of your app."""
    if app:
        OwnApp(app)  # says what is wrong with the app before Celery takes over
        argv = worker_argv(app, concurrency=concurrency, queues=queues, loglevel=loglevel)
        os.execve(argv[0], argv, WORKER_ENVIRONMENT | os.environ)  # noqa: S606  as below
    require_extra("resultstore_tasks.app", extra="celery,tasks")
    argv = worker_argv(concurrency=concurrency, queues=queues, loglevel=loglevel)
    os.execve(argv[0], argv, WORKER_ENVIRONMENT | os.environ)  # noqa: S606  Celery takes this process over, signals included


def _gateway_of(store: Store, *, own: OwnApp | None = None, offers: str = "") -> object:
    """Return the gateway of `store`, which can start and cancel tasks if Celery is installed.

    Args:
        store: holds the Results.
        own: the app whose tasks it starts; None for the shipped tasks.
        offers: the Offers as `module:name`; "" for those of the settings or of the app.
    """
    create_app = require_extra("resultstore.gateway.app", extra="gateway").create_app
    named = offers or store.settings.gateway.offers
    try:
        dispatcher = _dispatcher_of(store) if own is None else own.dispatcher()
    except Misconfigured as error:
        Log(__name__).warning("gateway_only_reads", reason=str(error))
        return create_app(store)
    app = create_app(
        store, dispatcher=dispatcher, offers=_offers_of(store, named) if own is None else own.offers(named)
    )
    if store.settings.telemetry.tracing:
        provider = require_extra("resultstore.telemetry.tracing", extra="tracing").open_provider("resultstore-gateway")
        require_extra("resultstore.backends.celery.worker.spans", extra="tracing").PublishSpans(provider).start()
        tracing = require_extra("resultstore.gateway.tracing", extra="tracing")
        app.state.tracing = tracing.tracing_requests(app, provider)
    return app


def _offers_of(store: Store, named: str) -> object:
    """Return the offers that `named` says, or else those shipped tasks that a worker has registered.

    Raises Misconfigured.
    """
    offering = require_extra("resultstore.gateway.tasks.registered_offers", extra="gateway")
    if named:
        return offering.configured_offers(named)
    registrations = Registrations(store.index, store.settings.broker.queue)
    return offering.RegisteredOffers(
        require_extra("resultstore_tasks.offers", extra="celery,tasks").offers, registrations
    )


def _dispatcher_of(store: Store) -> Dispatcher:
    """Return what sends the shipped tasks. Raises Misconfigured if Celery is not installed."""
    app = require_extra("resultstore_tasks.app", extra="celery,tasks").make_app(store.settings)
    dispatching = require_extra("resultstore.backends.celery.dispatching", extra="celery")
    dispatcher: Dispatcher = dispatching.CeleryDispatcher(app)
    return dispatcher


def reconcile(
    app: App = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,  # noqa: FBT002
) -> None:
    """Finish or clean up abandoned uploads. A running gateway does this itself."""
    own = OwnApp(app) if app else None
    store = connect(Settings()) if own is None else own.store
    completion = require_extra("resultstore.uploads.completion", extra="gateway").UploadCompleter(
        store, dispatcher=_dispatcher_of(store) if own is None else own.dispatcher()
    )
    done = require_extra("resultstore.uploads.reconcile", extra="gateway").Reconciler(store, completion).run()
    if json:
        print_json(msgspec.to_builtins(done))
    else:
        out().print(
            f"completed {done.completed} uploads, gave up {done.given_up}, deleted {done.orphans} orphaned files"
        )


def worker_argv(
    app: str = SHIPPED_APP, *, concurrency: int, queues: str | None = None, loglevel: str = "info"
) -> list[str]:
    """Return the command line of a worker.

    Each worker gets its own node name: RabbitMQ locks a node's queue for one worker (RESOURCE_LOCKED).
    """
    node = f"worker-{secrets.token_hex(4)}@%h"
    options = ["--pool", "prefork", "--concurrency", str(concurrency), "--loglevel", loglevel, "--without-mingle"]
    options += ["--hostname", node]
    chosen = ["--queues", queues] if queues else []
    # `-P` keeps a module in the current folder from replacing one of the shipped worker.
    safely = ["-P"] if app == SHIPPED_APP else []
    return [sys.executable, *safely, "-m", "celery", "--app", app, "worker", *options, *chosen]
