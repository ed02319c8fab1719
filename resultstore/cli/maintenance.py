"""The commands that prepare and clean a store: setup, sweep."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from resultstore.cli.extras import require_extra
from resultstore.cli.output import out, print_json
from resultstore.connect import connect
from resultstore.model.errors import Misconfigured
from resultstore.ops.provision import provision
from resultstore.ops.sweep import sweep
from resultstore.settings import Settings

CREDENTIALS_FILE = Path("minio-credentials.ini")

Mend = Annotated[bool, typer.Option("--mend", help="Rewrite layout.json if another program has replaced it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    group = typer.Typer(name="setup", invoke_without_command=True)
    group.callback()(setup)
    group.command()(minio)
    app.add_typer(group)
    app.command(name="sweep")(sweep_now)


def setup(context: typer.Context, mend: Mend = False, json: Json = False) -> None:  # noqa: FBT002
    """Create the bucket, its lifecycle rules and the layout marker. Safe to run again.

    Keeps lifecycle rules of other programs. Tests what the object store supports, and refuses one without conditional
    create (If-None-Match).
    """
    if context.invoked_subcommand is None:
        _show(provision(Settings(), mend=mend), json=json)


def minio(
    *,
    credentials: Annotated[
        Path,
        typer.Option(help="File for the accounts' secrets, as AWS profiles. They are not shown again."),
    ] = CREDENTIALS_FILE,
    queue_dir: Annotated[
        str, typer.Option(help="Folder on MinIO's machine in which notifications wait while RabbitMQ is down.")
    ] = "",
    gateway_deletes: Annotated[
        bool, typer.Option("--gateway-deletes", help="Allow the gateway's callers to delete results.")
    ] = False,
    renew: Annotated[bool, typer.Option("--renew", help="Give existing accounts new secrets.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")] = False,
    json: Json = False,
) -> None:
    """Run setup, then configure MinIO: bucket notifications, expiry of incomplete uploads, service accounts.

    The worker and the gateway each get an account with least privilege (IAM policies). Needs the credentials of a MinIO
    administrator. Safe to run again.
    """
    settings = Settings()
    minio_setup = require_extra("resultstore.ops.minio_setup", extra="minio")
    require_extra("resultstore.blobs.s3.minio_admin", extra="minio")
    asked = minio_setup.MinioPlan(
        settings=settings,
        credentials_file=credentials,
        gateway_deletes=gateway_deletes,
        queue_dir=queue_dir,
        renew=renew,
    )
    if dry_run:
        _show(minio_setup.preview_minio(asked), json=json)
        return
    if settings.bucket_events.exchange:  # bound before anything is published: what cannot be routed is lost
        require_extra("resultstore.backends.celery.worker.bucket_events", extra="celery,gateway").declare(settings)
    _show(minio_setup.set_up_minio(asked), json=json)


def _show(done: dict[str, str], *, json: bool) -> None:
    if json:
        print_json(done)
        return
    table = Table("Step", "Result", box=None, pad_edge=False, header_style="dim")
    for step, text in done.items():
        table.add_row(step, text)
    out().print(table)


def sweep_now(json: Json = False) -> None:  # noqa: FBT002
    """Delete expired blobs and seals (garbage collection). Run it daily for a folder; a bucket has lifecycle rules."""
    store = connect()
    if store.blobs is None:
        raise Misconfigured("there is nothing to sweep: set RESULTSTORE_BLOBS_URL to file:///folder")
    swept = sweep(store.blobs, store.signatures.macs)
    if json:
        print_json(msgspec.to_builtins(swept))
    else:
        out().print(f"deleted {swept.blobs} blobs and {swept.seals} seals")
