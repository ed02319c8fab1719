"""Run: the command that shows everything at work: demo."""

from pathlib import Path
from typing import Annotated

import typer

from resultstore.cli.extras import enter
from resultstore.cli.kinds import StackKind

FOLDER = ".demo"


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command()(demo)


def demo(
    once: Annotated[  # noqa: FBT002
        bool, typer.Option("--once", help="Fetch every URL, check size and sha256, stop everything and end.")
    ] = False,
    stack: Annotated[
        StackKind, typer.Option(help="Own Valkey and a folder, or the servers that the environment names.")
    ] = StackKind.EMBEDDED,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON on stdout.")] = False,  # noqa: FBT002
) -> None:
    """Start a stack, do real work on real input, and serve what came out. Data stays under ./.demo/."""
    room = enter("resultstore.cli.demo", extra="demo")
    raise typer.Exit(room.run_demo(Path(FOLDER).absolute(), once=once, kind=stack, json=json))
