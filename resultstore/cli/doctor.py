"""The command that checks a deployment: doctor. It prints each check when it is done."""

from collections.abc import Callable, Mapping
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
from resultstore.ops.index_memory import memory_probes
from resultstore.ops.index_rights import index_probes
from resultstore.ops.settings_check import settings_probes
from resultstore.settings import Settings, settings_known
from resultstore.store import Store

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

App = Annotated[str, typer.Option("--app", help="Also check this Celery app; named as for `celery -A`.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command()(doctor)


def doctor(app: App = "", json: Json = False) -> None:  # noqa: FBT002
    """Check settings, store, index, broker and clock; print what is wrong and what to do.

    Each check is printed when it is done. If a server cannot be used, its other checks are skipped. With `--app`, the
    app's broker and the servers of its result backend are checked; so are those that RESULTSTORE_BROKER_URL and
    RESULTSTORE_INDEX_URL name, if they are others. Exits with 1 if anything is wrong.
    """
    settings = Settings()
    of_app, kept = _app_probes(app, settings)
    probes, requires = _probes(settings, kept)
    probes |= of_app
    rows = None if json else FindingRows(probes)
    findings = []
    for found in examine(probes, requires=requires):
        findings.append(found)
        if rows:
            rows.show(found)
    if json:
        print_json(msgspec.to_builtins(findings))
    elif all(one.verdict is Verdict.OK for one in findings):
        err().print(marked("[green]no problems found[/]"))
    if any(one.verdict is Verdict.WRONG for one in findings):
        raise typer.Exit(1)


class FindingRows:
    """Prints findings as the rows of one table, each at once.

    Args:
        names: the names of all checks that may be printed: they decide the width of a column.
    """

    def __init__(self, names: Mapping[str, object]) -> None:
        self._console = out()
        labels = max((len(CHECKS.get(one, one)) for one in names), default=0)
        fixed = (len(Verdict.WARNING), labels, 6)
        shared = max(20, self._console.width - sum(fixed) - 8) // 2
        self._widths = (*fixed[:2], shared, shared, fixed[2])
        self._row("", "Check", "Found", "What to do", "ms", style="dim")

    def show(self, found: Finding) -> None:
        """Print one finding."""
        text = found.text
        if found.skipped:
            text += f" ({len(found.skipped)} further checks skipped)"
        verdict = Text(found.verdict, MARKS[found.verdict])
        self._row(verdict, CHECKS.get(found.name, found.name), text, found.remedy, f"{found.ms:.0f}")

    def _row(self, *cells: str | Text, style: str = "") -> None:
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for width in self._widths:
            table.add_column(width=width, overflow="fold", justify="right" if width == self._widths[-1] else "left")
        table.add_row(*cells, style=style)
        self._console.print(table)


def _probes(chosen: Settings, kept: Store | None) -> tuple[dict[str, Probe], dict[str, str]]:
    """Return the checks, and for those that only repeat an earlier one's failure, its name.

    Args:
        chosen: the settings of this process.
        kept: whose servers to check instead: where an app keeps its results.
    """
    store = connect(chosen) if kept is None else kept
    settings = store.settings
    of_store, of_memory = store_probes(store) | index_probes(store.index), memory_probes(store.index)
    probes, bucket = connect_probes(settings), connect_bucket(settings)
    accepted = {"refuses_unsigned_writes"} if settings.security.accept_forgeable_store else set()
    of_bucket = {} if probes is None else capability_probes(probes, accepted=accepted)
    if bucket is not None:
        of_bucket |= bucket_probes(bucket, root=bucket.target.prefix)
    requires = dict.fromkeys(["write once", "layout", "clock", *of_bucket], "blobs")
    requires |= dict.fromkeys(of_memory, "index")
    checks = settings_probes(settings) | of_store | of_memory | of_bucket
    return checks | {"broker": lambda: _broker(settings.broker.url)}, requires


def _app_probes(app: str, settings: Settings) -> tuple[dict[str, Probe], Store | None]:
    """Return the checks of an app, and its Store unless the settings name another index."""
    if not app:
        return {}, None
    try:
        doctoring = require_extra("resultstore.backends.celery.doctoring", extra="celery")
        found: dict[str, Probe] = doctoring.app_probes(app)
        url, connect_app = doctoring.broker_of(app)
        kept: Store | None = doctoring.store_of_app(app)
    except Misconfigured as error:
        reason = error

        def refuse() -> str:
            raise reason

        return {"app": refuse}, None
    default = settings_known()["broker_url"][1].default
    if url != settings.broker.url or url == default:
        name = "broker" if settings.broker.url == default else "broker of the app"
        found[name] = lambda: _broker(url, setting="the app's broker_url", connect=connect_app)
    if kept is not None and doctoring.names_other_index(settings, kept):
        return found | doctoring.server_probes(settings, kept), None
    if kept is not None and kept.settings.index.url != settings.index.url:
        found["index"] = lambda: doctoring.index_serves(kept)  # in the place of this process's own
    return found, kept


def _broker(url: str, **options: object) -> str | Defect:
    try:
        ask: Callable[..., str | Defect] = require_extra("resultstore.cli.broker", extra="celery").broker_answers
    except Misconfigured as error:
        return Defect("not checked: kombu is not installed", str(error), Verdict.WARNING)
    return ask(url, **options)
