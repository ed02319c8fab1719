"""Serve: the commands that run until they are stopped: worker, gateway."""

import os
import secrets
import sys
from typing import Annotated

import msgspec
import typer

from resultstore.cli.extras import enter
from resultstore.cli.output import out, print_json
from resultstore.connect import connect
from resultstore.dispatch.orders import Dispatcher
from resultstore.dispatch.registrations import Registrations
from resultstore.model.errors import Misconfigured
from resultstore.settings import Settings
from resultstore.store import Store
from resultstore.telemetry.logs import Log, configure_logs

# The worker's processes are the parallelism: threads of libvips and of BLAS would only take the cores from each other.
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
        typer.Option("--fd", help="Listen on this inherited socket; a second one is for local bytes.", hidden=True),
    ] = None,
) -> None:
    """Serve results by HTTP; with blobs in a folder, their bytes too, on a port of their own."""
    settings = Settings()
    configure_logs(json=settings.telemetry.log_json)
    enter("resultstore.gateway.serve", extra="gateway").serve(settings, _gateway_of, fds=fds or [])


def worker(
    concurrency: Annotated[int, typer.Option("--concurrency", "-c", min=1, help="Child processes.")] = 2,
    queues: Annotated[str | None, typer.Option("--queues", "-Q", help="Queues to consume, by commas.")] = None,
    loglevel: Annotated[str, typer.Option(help="Of Celery's own log.")] = "info",
) -> None:
    """Run the shipped Celery worker (images, pdf, video, models, tables)."""
    enter("tasks.app", extra="celery,tasks")
    argv = worker_argv(concurrency=concurrency, queues=queues, loglevel=loglevel)
    os.execve(argv[0], argv, WORKER_ENVIRONMENT | os.environ)  # noqa: S606  Celery takes this process over, signals included


def _gateway_of(store: Store) -> object:
    """The gateway over `store`; it starts and cancels the shipped tasks where Celery is installed, else only reads."""
    create_app = enter("resultstore.gateway.app", extra="gateway").create_app
    try:
        dispatcher = _dispatcher_of(store)
    except Misconfigured as error:
        Log(__name__).warning("gateway_only_reads", reason=str(error))
        return create_app(store)
    app = create_app(store, dispatcher=dispatcher, offers=_offers_of(store))
    if store.settings.telemetry.tracing:
        provider = enter("resultstore.telemetry.tracing", extra="tracing").open_provider("resultstore-gateway")
        enter("resultstore.backends.celery.worker.spans", extra="tracing").PublishSpans(provider).start()
        app.state.tracing = enter("resultstore.gateway.tracing", extra="tracing").tracing_requests(app, provider)
    return app


def _offers_of(store: Store) -> object:
    """What is configured; else the shipped tasks that a worker has registered. Raises Misconfigured."""
    offering = enter("resultstore.gateway.tasks.registered_offers", extra="gateway")
    if store.settings.gateway.offers:
        return offering.configured_offers(store.settings.gateway.offers)
    registrations = Registrations(store.index, store.settings.broker.queue)
    return offering.RegisteredOffers(enter("tasks.offers", extra="celery,tasks").offers, registrations)


def _dispatcher_of(store: Store) -> Dispatcher:
    """What sends the shipped tasks. Raises Misconfigured where Celery is not installed."""
    app = enter("tasks.app", extra="celery,tasks").make_app(store.settings)
    door = enter("resultstore.backends.celery.dispatching", extra="celery")
    dispatcher: Dispatcher = door.CeleryDispatcher(app)
    return dispatcher


def reconcile(
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,  # noqa: FBT002
) -> None:
    """Finish the uploads that their clients did not, and collect what never will be. The gateway does it by itself."""
    settings = Settings()
    store = connect(settings)
    completion = enter("resultstore.uploads.completion", extra="gateway").UploadCompleter(
        store, dispatcher=_dispatcher_of(store)
    )
    done = enter("resultstore.uploads.reconcile", extra="gateway").Reconciler(store, completion).run()
    if json:
        print_json(msgspec.to_builtins(done))
    else:
        out().print(
            f"completed {done.completed} uploads, gave up {done.given_up}, deleted {done.orphans} that nobody knew"
        )


def worker_argv(*, concurrency: int, queues: str | None = None, loglevel: str = "info") -> list[str]:
    """The command line of the shipped worker; `-P` keeps a `tasks` folder of the current folder out of its way.

    Each worker gets a node name of its own: RabbitMQ locks a node's queue for one worker (RESOURCE_LOCKED).
    """
    node = f"worker-{secrets.token_hex(4)}@%h"
    options = ["--pool", "prefork", "--concurrency", str(concurrency), "--loglevel", loglevel, "--without-mingle"]
    options += ["--hostname", node]
    chosen = ["--queues", queues] if queues else []
    return [sys.executable, "-P", "-m", "celery", "--app", "tasks.app:app", "worker", *options, *chosen]
