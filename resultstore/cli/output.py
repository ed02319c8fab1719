"""Output of the commands: tables and text for people, JSON for programs."""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from resultstore.model.artifact import Artifact
from resultstore.model.result import Result, State
from resultstore.telemetry.escapes import escape_controls, escape_json, escape_line

PLAIN_WIDTH = 160  # without a terminal: wide enough that no URL is broken
KIB = 1024
STDOUT = "-"  # as the name of a file
STATE_STYLES: Mapping[str, str] = {
    State.SUCCESS: "green",
    State.FAILURE: "bold red",
    State.REVOKED: "red",
    State.RETRY: "yellow",
    State.PENDING: "dim",
}


def out() -> Console:
    """Return the console of stdout. It escapes control characters, and reads no markup in strings; see `marked`."""
    return _console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, stderr=False)


def err() -> Console:
    """Return the console of stderr, for progress, hints and errors; it prints as `out` does."""
    return _console(width=None if sys.stderr.isatty() else PLAIN_WIDTH, stderr=True)


def _console(*, width: int | None, stderr: bool) -> Console:
    console = Console(width=width, stderr=stderr, highlight=False, soft_wrap=False, markup=False, emoji=False)
    console.push_render_hook(_NoControls())
    return console


class _NoControls(RenderHook):
    """Escapes control characters in everything that a console prints."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Wrap each of them."""
        return [one if isinstance(one, _Visible) else _Visible(one) for one in renderables]


class _Visible:
    """Prints a renderable with its control characters escaped; styles and cursor movements stay."""

    def __init__(self, inner: ConsoleRenderable) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the segments of the renderable."""
        for text, style, control in console.render(self._inner, options):
            yield Segment(text if control else escape_controls(text), style, control)


def marked(markup: str, *values: object) -> Text:
    """Return styled text: `markup` with a `{}` for each of `values`, which are printed without markup."""
    return Text.from_markup(markup.format(*(escape(escape_controls(str(value))) for value in values)), emoji=False)


def print_json(value: object) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.buffer.write(_json(value))
    sys.stdout.buffer.flush()


def _json(value: object) -> bytes:
    return escape_json(msgspec.json.encode(value).decode()).encode() + b"\n"


def say_error(*, name: str, message: str, code: int, json: bool) -> None:
    """Write one line to stderr: what is wrong and what to do."""
    if json:
        sys.stderr.buffer.write(_json({"error": name, "message": message, "exit_code": code}))
        sys.stderr.buffer.flush()
        return
    err().print(marked("[bold red]error[/] {}", " ".join(message.split())), soft_wrap=True)


def size_text(size_bytes: float) -> str:
    """Return a size in IEC units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < KIB:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= KIB
    return f"{size_bytes:.1f} TiB"


def time_text(epoch_s: float | None) -> str:
    """Return a time in UTC, to the second."""
    try:
        return "-" if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):  # outside the calendar
        return "-"


def state_text(state: str) -> Text:
    """Return a state in its colour."""
    return Text(escape_line(state), STATE_STYLES.get(state, "cyan"))


def plain_artifact(artifact: Artifact) -> dict[str, object]:
    """Return an Artifact as JSON types, without the key of its blob."""
    document: dict[str, object] = msgspec.to_builtins(artifact)
    return {name: value for name, value in document.items() if name not in {"key", "etag"}}


def plain_result(result: Result) -> dict[str, object]:
    """Return a Result as JSON types."""
    return {
        "id": result.id,
        "state": str(result.state),
        "task": result.task,
        "owner": result.owner,
        "progress": msgspec.to_builtins(result.progress)
        if result.progress is None
        else {"done": result.progress.done, "total": result.progress.total, "note": result.progress.note},
        "failure": None if result.failure is None else {"type": result.failure.type, "message": result.failure.message},
        "artifacts": [plain_artifact(one) for one in result.artifacts],
        "sealed": result.sealed,
        "created_at": result.created_at,
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "expires_at": result.expires_at,
        "worker": result.worker,
        "retries": result.retries,
    }


def artifact_table(artifacts: Iterable[Artifact]) -> Table:
    """Return a table of Artifacts."""
    table = Table("Name", "Size", "Type", "sha256", "Expires", "Metadata", box=None, pad_edge=False, header_style="dim")
    table.columns[1].justify = "right"
    for one in artifacts:
        facts = " ".join(f"{name}={value}" for name, value in one.metadata.items())
        table.add_row(
            one.name, size_text(one.size_bytes), one.media_type, one.sha256[:12], time_text(one.expires_at), facts
        )
    return table
