"""The outcome of one job of the demo, as a table row or as JSON."""

from collections.abc import Mapping, Sequence

import msgspec
from rich import box
from rich.table import Table
from rich.text import Text

from resultstore.cli.jobs import Job
from resultstore.cli.output import plain_result, size_text, state_text
from resultstore.gateway.views import artifact_path
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.result import Result
from resultstore.uploads.ticket import INPUT

FACTS = ("accuracy", "pages", "rows")  # the metadata that the table shows


class Outcome(msgspec.Struct, frozen=True):
    """A job and its final Result."""

    job: Job
    result: Result

    @property
    def made(self) -> list[Artifact]:
        """Return the Artifacts that the task made, without its input."""
        return [one for one in self.result.artifacts if one.metadata.get("role") != INPUT]


def plain_outcome(outcome: Outcome, *, gateway_url: str) -> dict[str, object]:
    """Return an Outcome as JSON types."""
    urls = {one.name: gateway_url + artifact_path(one.id, one.name) for one in outcome.result.artifacts}
    size = outcome.job.size_bytes
    return plain_result(outcome.result) | {"input_bytes": size, "run_time_s": outcome.result.run_time_s, "urls": urls}


def artifact_url(artifact: Artifact, *, gateway_url: str) -> Text:
    """Return the permanent URL of the Artifact, as a link."""
    url = gateway_url + artifact_path(artifact.id, artifact.name)
    return Text(url, style=f"blue link {url}")


def closing_table(
    outcomes: Sequence[Outcome], *, gateway_url: str | None, faults: Mapping[tuple[str, str], str] | None
) -> Table:
    """Return a table with a section for each job.

    Args:
        outcomes: the jobs with their Results.
        gateway_url: to put a URL below each Artifact; None leaves them out.
        faults: what is wrong with each Artifact, by id and name ("" if nothing is); None if none was checked.
    """
    table = Table(box=box.ROUNDED, border_style="dim", header_style="bold cyan")
    table.add_column("Task", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("In → Out", justify="right", no_wrap=True)
    table.add_column("Time", justify="right", no_wrap=True)
    table.add_column("Artifact" if gateway_url is None else "Artifact and URL", overflow="fold")
    for outcome in outcomes:
        table.add_row(*_row(outcome, gateway_url=gateway_url, faults=faults))
        table.add_section()
    return table


def _row(
    outcome: Outcome, *, gateway_url: str | None, faults: Mapping[tuple[str, str], str] | None
) -> tuple[Text, Text, Text, Text, Text]:
    job, result = outcome.job, outcome.result
    task = Text.assemble((job.task, "bold"), "\n", (job.file_name, "dim"))
    size = Text(size_text(job.size_bytes))
    if outcome.made:
        size.append(f"\n→ {size_text(sum(one.size_bytes for one in outcome.made))}")
    ran_s = Text("-" if result.run_time_s is None else f"{result.run_time_s:.2f} s")
    return task, state_text(result.state), size, ran_s, _made(outcome, gateway_url, faults)


def _made(outcome: Outcome, gateway_url: str | None, faults: Mapping[tuple[str, str], str] | None) -> Text:
    """Return a line or two for each Artifact, or the failure."""
    why = outcome.result.failure
    if why is not None:
        return Text(f"{why.type}: {why.message}", "red")
    lines = []
    for one in outcome.made:
        lines.append(Text.assemble((one.name, "bold"), "  ", size_text(one.size_bytes), "  ", (_facts(one), "dim")))
        if faults is not None:
            fault = faults.get((one.id, one.name), "not fetched")
            lines[-1].append(f"  {fault}" if fault else "  ✓ sha256", "bold red" if fault else "green")
        if gateway_url is not None:
            lines.append(artifact_url(one, gateway_url=gateway_url))
    return Text("\n").join(lines)


def _facts(artifact: Artifact) -> str:
    known = artifact.metadata
    if "width" in known and "height" in known:
        return f"{known['width']} x {known['height']}"
    return "  ".join(f"{name} {_short(known[name])}" for name in FACTS if name in known)


def _short(value: Scalar) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
