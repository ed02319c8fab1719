"""Outcome: what became of one job of the demo, as a row of the closing table or as JSON."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from rich import box
from rich.table import Table
from rich.text import Text

from resultstore.cli.jobs import Job
from resultstore.cli.output import plain_result, size_text, state_text
from resultstore.gateway.views import artifact_path
from resultstore.model.artifact import Artifact
from resultstore.model.result import Result

BLANK = ("", "", "", "")
Row = tuple[str | Text, ...]


class Outcome(msgspec.Struct, frozen=True):
    """A job and the Result it ended with."""

    job: Job
    result: Result


def plain_outcome(outcome: Outcome, *, gateway_url: str) -> dict[str, object]:
    """An Outcome for programs."""
    urls = {one.name: gateway_url + artifact_path(one.id, one.name) for one in outcome.result.artifacts}
    size = outcome.job.source.size_bytes
    return plain_result(outcome.result) | {"input_bytes": size, "run_time_s": outcome.result.run_time_s, "urls": urls}


def linked(artifact: Artifact, *, gateway_url: str) -> Text:
    """The Artifact's lasting URL, to be clicked."""
    url = gateway_url + artifact_path(artifact.id, artifact.name)
    return Text(url, style=f"blue link {url}")


def closing_table(
    outcomes: Sequence[Outcome], *, gateway_url: str | None, faults: Mapping[tuple[str, str], str] | None
) -> Table:
    """One row for each Artifact.

    Args:
        outcomes: what was done.
        gateway_url: to put a URL into each row; None leaves the column out.
        faults: what the check found, by id and name, "" for nothing; None leaves the column out.
    """
    table = Table(box=box.ROUNDED, border_style="dim", header_style="bold cyan")
    for name, justify in (("Task", "left"), ("State", "left"), ("In → Out", "right"), ("Time", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]  # a literal each
    table.add_column("Artifact", overflow="fold")
    table.add_column("Size", justify="right", no_wrap=True)
    if gateway_url is not None:
        table.add_column("URL", overflow="fold")
    if faults is not None:
        table.add_column("sha256", justify="center")
    for outcome in outcomes:
        for row in _rows(outcome, gateway_url=gateway_url, faults=faults):
            table.add_row(*row)
        table.add_section()
    return table


def _rows(outcome: Outcome, *, gateway_url: str | None, faults: Mapping[tuple[str, str], str] | None) -> Iterator[Row]:
    result = outcome.result
    heads = [_head(outcome), (Text(f"  {outcome.job.source.file_name}", "dim"), "", "", "")]
    if not result.artifacts:
        why = "" if result.failure is None else f"{result.failure.type}: {result.failure.message}"
        yield (*heads[0], Text(why, "red"))
        yield heads[1]
    for n, one in enumerate(result.artifacts):
        row: Row = (*(heads[n] if n < len(heads) else BLANK), one.name, size_text(one.size_bytes))
        if gateway_url is not None:
            row += (linked(one, gateway_url=gateway_url),)
        if faults is not None:
            row += (_mark(faults.get((one.id, one.name), "not fetched")),)
        yield row
    if len(result.artifacts) == 1:
        yield heads[1]


def _head(outcome: Outcome) -> Row:
    result = outcome.result
    out_size = size_text(sum(one.size_bytes for one in result.artifacts)) if result.artifacts else "-"
    ran_s = "-" if result.run_time_s is None else f"{result.run_time_s:.2f} s"
    sizes = f"{size_text(outcome.job.source.size_bytes)} → {out_size}"
    return (Text(outcome.job.task, "bold"), Text.from_markup(state_text(result.state)), sizes, ran_s)


def _mark(fault: str) -> Text:
    return Text(fault, "bold red") if fault else Text("✓", "green")
