"""Output: what commands say, to people or to programs."""

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from rich.console import Console
from rich.table import Table

from resultstore.model.artifact import Artifact
from resultstore.model.result import Result, State

PLAIN_WIDTH = 160  # where there is no terminal: wide enough that no URL is broken
KIB = 1024
STATE_STYLES: Mapping[str, str] = {
    State.SUCCESS: "green",
    State.FAILURE: "bold red",
    State.REVOKED: "red",
    State.RETRY: "yellow",
    State.PENDING: "dim",
}


def out() -> Console:
    """Where results go."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False, soft_wrap=False)


def err() -> Console:
    """Where progress, hints and errors go."""
    return Console(width=None if sys.stderr.isatty() else PLAIN_WIDTH, stderr=True, highlight=False)


def print_json(value: object) -> None:
    """One JSON document on stdout."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def say_error(*, name: str, message: str, code: int, json: bool) -> None:
    """One line on stderr that says what is wrong and the way out."""
    if json:
        sys.stderr.write(msgspec.json.encode({"error": name, "message": message, "exit_code": code}).decode() + "\n")
        return
    line = " ".join(message.split())
    console = err()
    console.print("[bold red]error[/]", end=" ")
    console.print(line, markup=False, soft_wrap=True)


def size_text(size_bytes: float) -> str:
    """A size for people, in IEC units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < KIB:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= KIB
    return f"{size_bytes:.1f} TiB"


def time_text(epoch_s: float | None) -> str:
    """A moment for people: UTC, to the second."""
    return "-" if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def state_text(state: str) -> str:
    """A state in its colour, as rich markup."""
    style = STATE_STYLES.get(state, "cyan")
    return f"[{style}]{state}[/]"


def plain_artifact(artifact: Artifact) -> dict[str, object]:
    """An Artifact for programs: what it is, not where its blob stands."""
    document: dict[str, object] = msgspec.to_builtins(artifact)
    return {name: value for name, value in document.items() if name not in {"key", "etag"}}


def plain_result(result: Result) -> dict[str, object]:
    """A Result for programs."""
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
    """Artifacts for people."""
    table = Table("Name", "Size", "Type", "sha256", "Expires", "Metadata", box=None, pad_edge=False, header_style="dim")
    table.columns[1].justify = "right"
    for one in artifacts:
        facts = " ".join(f"{name}={value}" for name, value in one.metadata.items())
        table.add_row(
            one.name, size_text(one.size_bytes), one.media_type, one.sha256[:12], time_text(one.expires_at), facts
        )
    return table
