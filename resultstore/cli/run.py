"""The command `demo`."""

from pathlib import Path
from typing import Annotated

import typer

from resultstore.cli.extras import require_extra
from resultstore.cli.stack_kind import StackKind

FOLDER = ".demo"


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command()(demo)


def demo(
    once: Annotated[  # noqa: FBT002
        bool, typer.Option("--once", help="Download and verify every result, stop all processes, and exit.")
    ] = False,
    stack: Annotated[
        StackKind,
        typer.Option(help="embedded: own Valkey and a folder. real: the servers named by the environment."),
    ] = StackKind.EMBEDDED,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,  # noqa: FBT002
) -> None:
    """Start a worker and a gateway, run six tasks on sample files, and show the results on a page.

    Data is kept in ./.demo/.
    """
    demo_module = require_extra("resultstore.cli.demo", extra="demo")
    raise typer.Exit(demo_module.run_demo(Path(FOLDER).absolute(), once=once, kind=stack, json=json))
