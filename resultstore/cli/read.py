"""The commands that look up results: ls, show, get, url."""

import hashlib
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from resultstore.blobs.disposition import safe_file_name
from resultstore.cli.files import whole_file
from resultstore.cli.output import (
    STDOUT,
    artifact_table,
    err,
    marked,
    out,
    plain_artifact,
    plain_result,
    print_json,
    size_text,
    state_text,
    time_text,
)
from resultstore.cli.values import find_value, write_value
from resultstore.connect import connect
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ArtifactMissing, ChecksumMismatch, ResultMissing
from resultstore.model.result import Result
from resultstore.store import Store
from resultstore.telemetry.escapes import escape_line

READ_BYTES = 1024 * 1024
LISTED_AT_ONCE = 200

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Id = Annotated[str, typer.Argument(help="The result's id, which is the task's id and the upload's id.")]
Name = Annotated[str | None, typer.Argument(help="The artifact's name; optional when there is only one.")]
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="File or folder to write to; '-' for stdout.")
]


class UrlMethod(StrEnum):
    """What a presigned URL may be used for."""

    GET = "GET"
    HEAD = "HEAD"


Method = Annotated[UrlMethod, typer.Option(case_sensitive=False, help="The HTTP method that the URL is valid for.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    for command in (ls, show, get, url):
        app.command()(command)


def ls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Maximum number of results.")] = 50,
    owner: Annotated[str | None, typer.Option(help="Only results of this owner, newest first.")] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """List recent results."""
    store = connect()
    found = _listed(store, owner, limit=limit)
    found.sort(key=lambda one: one.changed_at or 0, reverse=True)
    if json:
        print_json([plain_result(one) for one in found])
        return
    table = Table("Id", "State", "Task", "Artifacts", "Size", "Changed", box=None, pad_edge=False, header_style="dim")
    for one in found:
        size = size_text(sum(part.size_bytes for part in one.artifacts)) if one.artifacts else "-"
        count = str(len(one.artifacts) or "-")
        table.add_row(one.id, state_text(one.state), one.task or "-", count, size, time_text(one.changed_at))
    out().print(table if found else marked("[dim]no results[/]"))


def show(id: Id, json: Json = False) -> None:  # noqa: FBT002
    """Show one result: state, progress, failure and artifacts."""
    result = _loaded(connect(), id)
    if json:
        print_json(plain_result(result))
        return
    console = out()
    console.print(state_text(result.state), marked(" [bold]{}[/]  {}", result.id, result.task))
    for label, moment in (("started", result.started_at), ("ended", result.ended_at), ("expires", result.expires_at)):
        if moment is not None:
            console.print(marked("[dim]{}[/] {}", f"{label:<8}", time_text(moment)))
    if result.progress is not None and not result.terminal:
        at = result.progress
        console.print(marked("[dim]progress[/] {} of {} {}", f"{at.done:g}", f"{at.total:g}", at.note))
    if result.failure is not None:
        console.print(marked("[bold red]failure [/] {}: {}", result.failure.type, result.failure.message))
    if result.artifacts:
        console.print(artifact_table(result.artifacts))


def get(
    id: Id,
    name: Name = None,
    output: Output = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Download an artifact and verify it. The file is replaced atomically; a failed download leaves nothing.

    A result without artifacts has a plain value: write it, as its serializer encoded it, to stdout or to the file.
    """
    store = connect()
    result = _loaded(store, id)
    if name is None and not result.artifacts and (value := find_value(store, result)) is not None:
        write_value(value, id=result.id, output=output, json=json)
        return
    artifact = _chosen(result, name)
    if output == STDOUT:
        _copy(store, artifact, sys.stdout.buffer, quiet=json)
        return
    path = _target(artifact, output)
    with whole_file(path) as file:
        _copy(store, artifact, file, quiet=json)
    if json:
        print_json({"kind": "artifact"} | plain_artifact(artifact) | {"path": str(path)})
    else:
        size = size_text(artifact.size_bytes)
        out().print(marked("[green]saved[/] {}  {}  sha256 {}", path, size, artifact.sha256), soft_wrap=True)


def url(  # noqa: PLR0917 - typer passes them by name
    id: Id,
    name: Name = None,
    expires: Annotated[int | None, typer.Option(min=1, max=604_800, help="Lifetime of the URL in seconds.")] = None,
    inline: Annotated[bool, typer.Option("--inline", help="Let the browser show it instead of saving it.")] = False,  # noqa: FBT002
    method: Annotated[
        UrlMethod, typer.Option(case_sensitive=False, help="The HTTP method that the URL is valid for.")
    ] = UrlMethod.GET,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Print a presigned URL of an artifact."""
    store = connect()
    artifact = _chosen(_loaded(store, id), name)
    signed = store.url(artifact, expires_in_s=expires, inline=inline, method=method.value)
    if json:
        print_json({"id": id, "name": artifact.name, "url": signed})
    else:
        sys.stdout.write(signed + "\n")


def _listed(store: Store, owner: str | None, *, limit: int) -> list[Result]:
    if owner is not None:
        lines = store.owner_lister.newest(owner, limit=limit)
        if not store.owner_lister.is_complete():
            err().print("[yellow]the list may be incomplete: run `resultstore rebuild`[/]")
        return list(store.owner_lister.load(owner, [one.id for one in lines]).results)
    ids = list(store.ids(limit=limit))
    batches = (ids[at : at + LISTED_AT_ONCE] for at in range(0, len(ids), LISTED_AT_ONCE))
    return [one for batch in batches for one in store.load_many(batch) if one is not None]


def _loaded(store: Store, id: str) -> Result:
    result = store.load(id)
    if result is None:
        raise ResultMissing(f"no result with the id {id!r}; `resultstore ls` lists recent results")
    return result


def _chosen(result: Result, name: str | None) -> Artifact:
    names = ", ".join(one.name for one in result.artifacts) or "none"
    if name is None and len(result.artifacts) > 1:
        said = escape_line(f"{result.id} has several artifacts, name one of: {names}")
        raise typer.BadParameter(said, param_hint="NAME")
    found = result.artifact(name) if name is not None else next(iter(result.artifacts), None)
    if found is None:
        lacks = "artifacts and no value" if name is None else f"artifact {name}; it has: {names}"
        raise ArtifactMissing(f"result {result.id} ({result.state}) has no {lacks}")
    return found


def _target(artifact: Artifact, output: str | None) -> Path:
    """Return where to save. A name from the store never leads out of the folder, and never replaces a file."""
    path = Path(output) if output else Path()
    if not path.is_dir():
        return path
    path /= safe_file_name(artifact.file_name)
    if path.exists():
        raise typer.BadParameter(escape_line(f"{path} exists: name it with -o to replace it"), param_hint="-o")
    return path


def _copy(store: Store, artifact: Artifact, file: BinaryIO, *, quiet: bool) -> None:
    digest = hashlib.sha256()
    console = err()
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
        transient=True,
    )
    with bar, store.open(artifact) as stream:
        shown = bar.add_task(artifact.file_name, total=artifact.size_bytes)
        while chunk := stream.read(READ_BYTES):
            digest.update(chunk)
            file.write(chunk)
            bar.advance(shown, len(chunk))
    if digest.hexdigest() != artifact.sha256:
        raise ChecksumMismatch(f"artifact {artifact.name} of {artifact.id} is damaged in the store: run the task again")
