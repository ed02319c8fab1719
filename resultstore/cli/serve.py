"""The commands that run servers and their background jobs: worker, gateway, reconcile."""

import os
import secrets
import sys
from typing import Annotated

import msgspec
import typer

from resultstore.cli.extras import require_extra
from resultstore.cli.output import out, print_json
from resultstore.connect import connect
from resultstore.dispatch.orders import Dispatcher
from resultstore.dispatch.registrations import Registrations
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.telemetry.logs import Log, configure_logs

# The worker runs one process a core: threads of libvips and BLAS would only compete for the cores.
WORKER_ENVIRONMENT = {
    "VIPS_CONCURRENCY": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(gateway)
    app.command()(worker)
    app.command()(reconcile)


def gateway(
    fds: Annotated[
        list[int] | None,
        typer.Option("--fd", help="Listen on this inherited socket; a second one serves local bytes.", hidden=True),
    ] = None,
) -> None:
    """Serve results over HTTP. With blobs in a folder, also serve their bytes, on a second port."""
    settings = Settings()
    configure_logs(json=settings.telemetry.log_json)
    require_extra("resultstore.gateway.serve", extra="gateway").serve(settings, _gateway_of, fds=fds or [])


def worker(
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", min=1, help="Number of child processes.")] = 2,
    queues: Annotated[str | None, typer.Option("--queues", "-Q", help="Queues, separated by commas.")] = None,
    loglevel: Annotated[str, typer.Option(help="Log level of Celery.")] = "info",
) -> None:
    """Run the Celery worker that comes with resultstore (images, PDF, video, models, tables)."""
    require_extra("resultstore_tasks.app", extra="celery,tasks")
    argv = worker_argv(concurrency=concurrency, queues=queues, loglevel=loglevel)
    os.execve(argv[0], argv, WORKER_ENVIRONMENT | os.environ)  # noqa: S606  Celery takes this process over, signals included


def _gateway_of(store: Store) -> object:
    """Return the gateway of `store`, which can start and cancel the shipped tasks if Celery is installed."""
    create_app = require_extra("resultstore.gateway.app", extra="gateway").create_app
    try:
        dispatcher = _dispatcher_of(store)
    except Misconfigured as error:
        Log(__name__).warning("gateway_only_reads", reason=str(error))
        return create_app(store)
    app = create_app(store, dispatcher=dispatcher, offers=_offers_of(store))
    if store.settings.telemetry.tracing:
        provider = require_extra("resultstore.telemetry.tracing", extra="tracing").open_provider("resultstore-gateway")
        require_extra("resultstore.backends.celery.worker.spans", extra="tracing").PublishSpans(provider).start()
        tracing = require_extra("resultstore.gateway.tracing", extra="tracing")
        app.state.tracing = tracing.tracing_requests(app, provider)
    return app


def _offers_of(store: Store) -> object:
    """Return the configured offers, or else those shipped tasks that a worker has registered. Raises Misconfigured."""
    offering = require_extra("resultstore.gateway.tasks.registered_offers", extra="gateway")
    if store.settings.gateway.offers:
        return offering.configured_offers(store.settings.gateway.offers)
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
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,  # noqa: FBT002
) -> None:
    """Finish or clean up abandoned uploads. A running gateway does this itself."""
    settings = Settings()
    store = connect(settings)
    completion = require_extra("resultstore.uploads.completion", extra="gateway").UploadCompleter(
        store, dispatcher=_dispatcher_of(store)
    )
    done = require_extra("resultstore.uploads.reconcile", extra="gateway").Reconciler(store, completion).run()
    if json:
        print_json(msgspec.to_builtins(done))
    else:
        out().print(
            f"completed {done.completed} uploads, gave up {done.given_up}, deleted {done.orphans} orphaned files"
        )


def worker_argv(*, concurrency: int, queues: str | None = None, loglevel: str = "info") -> list[str]:
    """Return the command line of the shipped worker. `-P` keeps the current folder's modules from being imported.

    Each worker gets its own node name: RabbitMQ locks a node's queue for one worker (RESOURCE_LOCKED).
    """
    node = f"worker-{secrets.token_hex(4)}@%h"
    options = ["--pool", "prefork", "--concurrency", str(concurrency), "--loglevel", loglevel, "--without-mingle"]
    options += ["--hostname", node]
    chosen = ["--queues", queues] if queues else []
    return [sys.executable, "-P", "-m", "celery", "--app", "resultstore_tasks.app:app", "worker", *options, *chosen]
