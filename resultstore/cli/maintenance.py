"""The commands that prepare, check and clean a store: setup, doctor, sweep."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from resultstore.cli.extras import require_extra
from resultstore.cli.output import err, marked, out, print_json
from resultstore.connect import connect, connect_bucket, connect_probes
from resultstore.model.errors import Misconfigured
from resultstore.ops.doctor import (
    Defect,
    Finding,
    Probe,
    Verdict,
    bucket_probes,
    capability_probes,
    examine,
    store_probes,
)
from resultstore.ops.index_rights import index_probes
from resultstore.ops.provision import provision
from resultstore.ops.sweep import sweep
from resultstore.settings import Settings

MARKS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.WRONG: "bold red"}

# What people read in place of a check's name in `--json`, where that name does not explain itself.
CHECKS = {
    "seal rules": "lifecycle rules of seals",
    "store creates once": "conditional create (If-None-Match)",
    "store checks checksums": "checksum verification",
    "store drops torn uploads": "incomplete upload cleanup",
    "store knows lifecycle": "lifecycle rules",
    "store keeps tags": "object tags",
    "store agrees on the time": "clock of the store",
    "store ends urls": "presigned URL expiry",
    "store refuses urls from the future": "future-dated URL protection",
    "store refuses smuggled copies": "server-side-copy protection",
    "store refuses unsigned writes": "unsigned write protection",
}

CREDENTIALS_FILE = Path("minio-credentials.ini")

App = Annotated[str, typer.Option("--app", help="Also check this Celery app; named as for `celery -A`.")]
Mend = Annotated[bool, typer.Option("--mend", help="Rewrite layout.json if another program has replaced it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    group = typer.Typer(name="setup", invoke_without_command=True)
    group.callback()(setup)
    group.command()(minio)
    app.add_typer(group)
    app.command()(doctor)
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


def doctor(app: App = "", json: Json = False) -> None:  # noqa: FBT002
    """Check store, index, broker and clock; print what is wrong and what to do. Exits with 1 if anything is wrong."""
    findings = list(examine(_probes(Settings()) | _app_probes(app)))
    if json:
        print_json(msgspec.to_builtins(findings))
    else:
        out().print(_table(findings))
        if all(one.verdict is Verdict.OK for one in findings):
            err().print(marked("[green]no problems found[/]"))
    if any(one.verdict is Verdict.WRONG for one in findings):
        raise typer.Exit(1)


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


def _probes(settings: Settings) -> dict[str, Probe]:
    store = connect(settings)
    of_store = store_probes(store) | index_probes(store.index)
    probes, bucket = connect_probes(settings), connect_bucket(settings)
    accepted = {"refuses_unsigned_writes"} if settings.security.accept_forgeable_store else set()
    of_bucket = {} if probes is None else capability_probes(probes, accepted=accepted)
    if bucket is not None:
        of_bucket |= bucket_probes(bucket, root=bucket.target.prefix)
    return of_store | of_bucket | {"broker": lambda: _broker(settings)}


def _app_probes(app: str) -> dict[str, Probe]:
    if not app:
        return {}
    of_app: dict[str, Probe] = require_extra("resultstore.backends.celery.doctoring", extra="celery").app_probes(app)
    return of_app


def _broker(settings: Settings) -> str | Defect:
    try:
        ask: Callable[[str], str | Defect] = require_extra("resultstore.cli.broker", extra="celery").broker_answers
    except Misconfigured as error:
        return Defect("not checked: kombu is not installed", str(error), Verdict.WARNING)
    return ask(settings.broker.url)


def _table(findings: list[Finding]) -> Table:
    table = Table("", "Check", "Found", "What to do", "ms", box=None, pad_edge=False, header_style="dim")
    table.columns[-1].justify = "right"
    for one in findings:
        table.add_row(
            Text(one.verdict, MARKS[one.verdict]), CHECKS.get(one.name, one.name), one.text, one.remedy, f"{one.ms:.0f}"
        )
    return table
