"""The command `put`, which stores a file."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import Progress

from resultstore.cli.output import artifact_table, err, marked, out, plain_artifact, print_json
from resultstore.connect import connect
from resultstore.model.layout import RETENTION_S
from resultstore.telemetry.escapes import escape_line

STDIN = "-"

File = Annotated[str, typer.Argument(metavar="FILE", help="The file to store; '-' for stdin.")]


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command()(put)


def put(  # noqa: PLR0917  typer reads options from parameters
    file: File,
    name: Annotated[str | None, typer.Option(help="The artifact's name; by default the file's name.")] = None,
    file_name: Annotated[str | None, typer.Option(help="The file name of a download; by default the name.")] = None,
    media_type: Annotated[str | None, typer.Option("--type", help="The media type; by default from the name.")] = None,
    id: Annotated[str | None, typer.Option(help="The result's id; by default a new id.")] = None,
    retention: Annotated[str | None, typer.Option(help=f"Retention class: {', '.join(RETENTION_S)}.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,  # noqa: FBT002
) -> None:
    """Store a file as a new result. When the command succeeds, the result is sealed (durable)."""
    if retention is not None and retention not in RETENTION_S:
        raise typer.BadParameter(f"use one of {', '.join(RETENTION_S)}", param_hint="--retention")
    path = Path(file)
    if file != STDIN and not path.is_file():
        raise typer.BadParameter(f"{file} is not a file", param_hint="FILE")
    put_file = partial(connect().put, file_name=file_name, media_type=media_type, id=id, retention=retention)
    if file == STDIN:
        artifact = put_file(sys.stdin.buffer, name=name or (None if file_name else "stdin"))
    else:
        with (
            _shown(path, quiet=json) as progress,
            progress.open(path, "rb", description=escape(escape_line(path.name))) as stream,
        ):
            artifact = put_file(stream, name=name)
    if json:
        print_json(plain_artifact(artifact))
    else:
        out().print(marked("[green]sealed[/] [bold]{}[/]", artifact.id))
        out().print(artifact_table([artifact]))


def _shown(path: Path, *, quiet: bool) -> Progress:
    console = err()
    small = path.stat().st_size < 1024 * 1024
    return Progress(console=console, disable=quiet or small or not console.is_terminal, transient=True)
