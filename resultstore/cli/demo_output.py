"""Scene: what the demo shows: steps, live progress, the closing table."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.rule import Rule
from rich.text import Text

from resultstore.cli.check import UrlCheck
from resultstore.cli.jobs import Job
from resultstore.cli.kinds import StackKind
from resultstore.cli.outcome import Outcome, artifact_url, closing_table
from resultstore.cli.output import err, marked, out, size_text, state_text
from resultstore.cli.stack import Stack
from resultstore.model.result import Result, State
from resultstore.telemetry.escapes import escape_line

OTHER_COLUMNS = 56  # what the table needs beside its URLs
Show = Callable[[Job, Result], None]
STACKS = {
    StackKind.EMBEDDED: "embedded stack: Valkey as broker and index, blobs in a folder",
    StackKind.REAL: "real stack: RabbitMQ, Redis and an S3 store",
}


class DemoOutput:
    """Tells people what happens; `quiet` says it on stderr, as stdout is for a program then."""

    def __init__(self, *, quiet: bool) -> None:
        self._console: Console = err() if quiet else out()
        self._began = time.monotonic()

    def opening(self, stack: Stack) -> None:
        """Name the stack and where its data is."""
        self._console.print(
            Rule(marked("[bold]resultstore demo[/]  [dim]{}[/]", STACKS[stack.kind]), style="cyan", align="left")
        )
        self._console.print(marked("  [dim]data and logs in {}[/]", stack.folder), soft_wrap=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Something short that is done before the work starts."""
        began = time.monotonic()
        yield
        self._console.print(marked("  [green]✓[/] {} [dim]{} s[/]", name, f"{time.monotonic() - began:.1f}"))

    @contextmanager
    def progress(self, jobs: Sequence[Job]) -> Iterator[Show]:
        """A bar and a note for each job; without a terminal, a line whenever one changes its state."""
        if not self._console.is_terminal:
            yield _Lines(self._console).show
            return
        columns = (
            SpinnerColumn(style="cyan", finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28, complete_style="cyan", finished_style="green"),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            _NoteColumn(),
        )
        with Progress(*columns, console=self._console) as live:
            width = max(len(job.task) for job in jobs)
            rows = {
                job.id: live.add_task(
                    f"[bold]{escape(f'{job.task:<{width}}')}[/] {escape(f'{job.file_name:<16}')}",
                    total=None,
                    note="waiting for a worker",
                )
                for job in jobs
            }
            yield lambda job, seen: live.update(rows[job.id], **_as_row(seen))  # type: ignore[arg-type]

    @contextmanager
    def fetching(self, count: int) -> Iterator[Callable[[], None]]:
        """Count the URLs that were fetched."""
        columns = (TextColumn("  [cyan]fetching every URL[/]"), BarColumn(bar_width=28), MofNCompleteColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as live:
            row = live.add_task("", total=count)
            yield lambda: live.advance(row)

    def ending(self, outcomes: Sequence[Outcome], checked: Sequence[UrlCheck], *, stack: Stack) -> None:
        """The table of what came out, where to click, and what the check found."""
        gateway_url = stack.settings.gateway.url
        urls = [artifact_url(one, gateway_url=gateway_url) for each in outcomes for one in each.made]
        wide = self._console.width >= OTHER_COLUMNS + max(map(len, urls), default=0)  # a broken URL cannot be copied
        faults = {(one.id, one.name): one.fault for one in checked} if checked else None
        self._console.print(closing_table(outcomes, gateway_url=gateway_url if wide else None, faults=faults))
        for url in () if wide else urls:
            self._console.print("  ", url, sep="", soft_wrap=True)
        self._sum_up(outcomes, checked, stack=stack)

    def entrance(self, url: str) -> None:
        """Where the page is, from the moment that it answers."""
        link = Text(url, f"bold link {url}")
        line = Text.assemble("  ", ("→", "bold cyan"), (" open ", "bold"), link, (" and drop a file", "dim"))
        self._console.print(line, soft_wrap=True)

    def farewell(self) -> None:
        """Everything is being stopped."""
        self._console.print(marked("  [dim]stopping every process of the demo[/]"))

    def _sum_up(self, outcomes: Sequence[Outcome], checked: Sequence[UrlCheck], *, stack: Stack) -> None:
        total = time.monotonic() - self._began
        made = [one for outcome in outcomes for one in outcome.made]
        done = sum(outcome.result.state == State.SUCCESS for outcome in outcomes)
        size = size_text(sum(one.size_bytes for one in made))
        style = "green" if done == len(outcomes) else "bold red"
        succeeded = Text(f"{done} of {len(outcomes)} tasks succeeded", style)
        self._console.print(Text.assemble("  ", succeeded, f": {len(made)} artifacts, {size}, {total:.1f} s"))
        if checked:
            good = sum(one.ok for one in checked)
            style = "green" if good == len(checked) else "bold red"
            self._console.print(Text(f"  {good} of {len(checked)} URLs gave the promised size and sha256", style))
            return
        self.entrance(f"{stack.settings.gateway.url}/")
        env = stack.folder / "env"
        self._console.print(marked("  [dim]from another terminal: . {} && resultstore ls[/]", env), soft_wrap=True)
        self._console.print(marked("  [bold]Ctrl-C ends the demo[/] [dim]and every process of it[/]"))


class _NoteColumn(ProgressColumn):
    """What a job says about itself: text of others, and never markup."""

    def render(self, task: Task) -> Text:
        """Give the note."""
        note = task.fields["note"]
        return note if isinstance(note, Text) else Text(escape_line(note), "dim")


class _Lines:
    """Progress where no cursor can move: one line for each change of state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, str] = {}

    def show(self, job: Job, seen: Result) -> None:
        if self._shown.get(job.id) == seen.state:
            return
        self._shown[job.id] = seen.state
        self._console.print(Text.assemble(f"  {job.task:<16}{job.file_name:<18}", state_text(seen.state)))


def _as_row(seen: Result) -> dict[str, object]:
    if seen.terminal:
        note = state_text(seen.state) if seen.state != State.SUCCESS else Text("done", "green")
        return {"total": 1, "completed": 1, "note": note}
    if seen.progress is None:
        return {"note": "waiting for a worker" if seen.state == State.PENDING else "started"}
    at = seen.progress
    return {"total": at.total or None, "completed": at.done, "note": at.note}
