"""The output of the demo: steps, live progress, the closing table."""

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
from resultstore.cli.outcome import Outcome, artifact_url, closing_table
from resultstore.cli.output import err, marked, out, size_text, state_text
from resultstore.cli.stack import Stack
from resultstore.cli.stack_kind import StackKind
from resultstore.model.result import Result, State
from resultstore.telemetry.escapes import escape_line

OTHER_COLUMNS = 56  # width of the table without its URLs
Show = Callable[[Job, Result], None]
STACKS = {
    StackKind.EMBEDDED: "embedded stack: Valkey as broker and index, blobs in a folder",
    StackKind.REAL: "real stack: RabbitMQ, Redis and an S3 store",
}


class DemoOutput:
    """Prints what happens: on stdout, or on stderr if `quiet`, when stdout is for JSON."""

    def __init__(self, *, quiet: bool) -> None:
        self._console: Console = err() if quiet else out()
        self._began = time.monotonic()

    def opening(self, stack: Stack) -> None:
        """Print the stack and the folder of its data."""
        self._console.print(
            Rule(marked("[bold]resultstore demo[/]  [dim]{}[/]", STACKS[stack.kind]), style="cyan", align="left")
        )
        self._console.print(marked("  [dim]data and logs in {}[/]", stack.folder), soft_wrap=True)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Print `name` with a check mark and the duration when the block ends."""
        began = time.monotonic()
        yield
        self._console.print(marked("  [green]✓[/] {} [dim]{} s[/]", name, f"{time.monotonic() - began:.1f}"))

    @contextmanager
    def progress(self, jobs: Sequence[Job]) -> Iterator[Show]:
        """Show a bar and a note for each job; without a terminal, print a line for each change of state."""
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
        """Show a bar that counts the downloads."""
        columns = (TextColumn("  [cyan]downloading every result[/]"), BarColumn(bar_width=28), MofNCompleteColumn())
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as live:
            row = live.add_task("", total=count)
            yield lambda: live.advance(row)

    def ending(self, outcomes: Sequence[Outcome], checked: Sequence[UrlCheck], *, stack: Stack) -> None:
        """Print the table of results, their URLs, and what the verification found."""
        gateway_url = stack.settings.gateway.url
        urls = [artifact_url(one, gateway_url=gateway_url) for each in outcomes for one in each.made]
        wide = self._console.width >= OTHER_COLUMNS + max(map(len, urls), default=0)  # a broken URL cannot be copied
        faults = {(one.id, one.name): one.fault for one in checked} if checked else None
        self._console.print(closing_table(outcomes, gateway_url=gateway_url if wide else None, faults=faults))
        for url in () if wide else urls:
            self._console.print("  ", url, sep="", soft_wrap=True)
        self._sum_up(outcomes, checked, stack=stack)

    def page_url(self, url: str) -> None:
        """Print the URL of the page."""
        link = Text(url, f"bold link {url}")
        line = Text.assemble("  ", ("→", "bold cyan"), (" open ", "bold"), link, (" and drop a file", "dim"))
        self._console.print(line, soft_wrap=True)

    def stopping(self) -> None:
        """Print that all processes are being stopped."""
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
            self._console.print(Text(f"  {good} of {len(checked)} downloads have the right size and sha256", style))
            return
        self.page_url(f"{stack.settings.gateway.url}/")
        env = stack.folder / "env"
        self._console.print(marked("  [dim]from another terminal: . {} && resultstore ls[/]", env), soft_wrap=True)
        self._console.print(marked("  [bold]Ctrl-C stops the demo[/] [dim]and all its processes[/]"))


class _NoteColumn(ProgressColumn):
    """The note of a job, without markup."""

    def render(self, task: Task) -> Text:
        """Return the note."""
        note = task.fields["note"]
        return note if isinstance(note, Text) else Text(escape_line(note), "dim")


class _Lines:
    """Progress without a terminal: one line for each change of state."""

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
