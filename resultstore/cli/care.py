"""Care: the commands that prepare, examine and clean a place: setup, doctor, sweep."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from resultstore.cli.extras import enter
from resultstore.cli.output import err, marked, out, print_json
from resultstore.connect import connect, connect_bucket, connect_probes
from resultstore.model.errors import Misconfigured
from resultstore.ops.doctor import Defect, Finding, Probe, Verdict, bucket_probes, examine, store_probes, trait_probes
from resultstore.ops.index_rights import index_probes
from resultstore.ops.provision import provision
from resultstore.ops.sweep import sweep
from resultstore.settings import Settings

MARKS = {Verdict.OK: "green", Verdict.WARNING: "yellow", Verdict.WRONG: "bold red"}

CREDENTIALS_FILE = Path("minio-credentials.ini")

App = Annotated[str, typer.Option("--app", help="A Celery app to examine too, named as for `celery -A`.")]
Mend = Annotated[bool, typer.Option("--mend", help="Write layout.json anew where somebody replaced it.")]
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
    """Make the place for blobs: bucket, lifecycle rules (others' are left alone), layout marker. Safe to run again.

    Tries what the object store keeps and says what it lacks. Refuses a store without conditional create.
    """
    if context.invoked_subcommand is None:
        _show(provision(Settings(), mend=mend), json=json)


def minio(
    *,
    credentials: Annotated[
        Path, typer.Option(help="Where the accounts' secrets are written, once, as AWS profiles.")
    ] = CREDENTIALS_FILE,
    queue_dir: Annotated[
        str, typer.Option(help="Folder of MinIO's machine where events wait while RabbitMQ is away.")
    ] = "",
    gateway_deletes: Annotated[
        bool, typer.Option("--gateway-deletes", help="Let the gateway's callers delete results.")
    ] = False,
    renew: Annotated[bool, typer.Option("--renew", help="Give standing accounts new secrets.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    json: Json = False,
) -> None:
    """Set up, and furnish a MinIO: events of uploads, expiry of unfinished ones, an account for workers and one for the
    gateway, each with the least rights. Needs an administrator's credentials. Safe to run again.
    """
    settings = Settings()
    room = enter("resultstore.ops.minio_setup", extra="minio")
    enter("resultstore.blobs.s3.minio_admin", extra="minio")
    asked = room.MinioPlan(
        settings=settings,
        credentials_file=credentials,
        gateway_deletes=gateway_deletes,
        queue_dir=queue_dir,
        renew=renew,
    )
    if dry_run:
        _show(room.furnish_preview(asked), json=json)
        return
    if settings.bucket_events.exchange:  # bound before anything is published: what cannot be routed is lost
        enter("resultstore.backends.celery.worker.bucket_events", extra="celery,gateway").declare(settings)
    _show(room.furnish(asked), json=json)


def _show(done: dict[str, str], *, json: bool) -> None:
    if json:
        print_json(done)
        return
    table = Table("Step", "What", box=None, pad_edge=False, header_style="dim")
    for step, text in done.items():
        table.add_row(step, text)
    out().print(table)


def doctor(app: App = "", json: Json = False) -> None:  # noqa: FBT002
    """Probe store, index, broker and clock: what is wrong and what to do. Exit code 1 when something is wrong."""
    findings = list(examine(_probes(Settings()) | _app_probes(app)))
    if json:
        print_json(msgspec.to_builtins(findings))
    else:
        out().print(_table(findings))
        if all(one.verdict is Verdict.OK for one in findings):
            err().print(marked("[green]all is well[/]"))
    if any(one.verdict is Verdict.WRONG for one in findings):
        raise typer.Exit(1)


def sweep_now(json: Json = False) -> None:  # noqa: FBT002
    """Delete what has expired. For a folder, once a day; a bucket has lifecycle rules that do it."""
    store = connect()
    if store.blobs is None:
        raise Misconfigured("there is nothing to sweep: set RESULTSTORE_BLOBS_URL to file:///folder")
    swept = sweep(store.blobs, store.trust.macs)
    if json:
        print_json(msgspec.to_builtins(swept))
    else:
        out().print(f"deleted {swept.blobs} blobs and {swept.seals} seals")


def _probes(settings: Settings) -> dict[str, Probe]:
    store = connect(settings)
    of_store = store_probes(store) | index_probes(store.index)
    probes, bucket = connect_probes(settings), connect_bucket(settings)
    accepted = {"refuses_unsigned_writes"} if settings.security.accept_forgeable_store else set()
    of_bucket = {} if probes is None else trait_probes(probes, accepted=accepted)
    if bucket is not None:
        of_bucket |= bucket_probes(bucket, root=bucket.target.prefix)
    return of_store | of_bucket | {"broker": lambda: _broker(settings)}


def _app_probes(app: str) -> dict[str, Probe]:
    if not app:
        return {}
    of_app: dict[str, Probe] = enter("resultstore.backends.celery.doctoring", extra="celery").app_probes(app)
    return of_app


def _broker(settings: Settings) -> str | Defect:
    try:
        ask: Callable[[str], str | Defect] = enter("resultstore.cli.broker", extra="celery").broker_answers
    except Misconfigured as error:
        return Defect("not asked: kombu is not installed", str(error), Verdict.WARNING)
    return ask(settings.broker.url)


def _table(findings: list[Finding]) -> Table:
    table = Table("", "Probe", "Found", "What to do", "ms", box=None, pad_edge=False, header_style="dim")
    table.columns[-1].justify = "right"
    for one in findings:
        table.add_row(Text(one.verdict, MARKS[one.verdict]), one.name, one.text, one.remedy, f"{one.ms:.0f}")
    return table
