"""The commands for all results of an owner: rebuild, erase."""

from typing import Annotated

import msgspec
import typer

from resultstore.cli.extras import require_extra
from resultstore.cli.output import out, print_json
from resultstore.connect import connect

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    for command in (rebuild, erase):
        app.command()(command)


def rebuild(json: Json = False) -> None:  # noqa: FBT002
    """Rebuild the lists of results by owner from all seals, after a loss of Redis. The gateway does it itself."""
    done = require_extra("resultstore.ops.owner_lists", extra="gateway").rebuild(connect())
    if json:
        print_json(msgspec.to_builtins(done))
        return
    out().print(f"read {done.seals} seals, listed {done.listed}, {done.unreadable} could not be read")


def erase(
    owner: Annotated[str, typer.Argument(help="The owner, as shown in their results.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    json: Json = False,
) -> None:
    """Delete everything of an owner: results, uploads, spilled arguments, events. This cannot be undone."""
    if not yes:
        typer.confirm(f"Delete everything of {owner!a}? This cannot be undone.", abort=True, err=True)
    done = require_extra("resultstore.ops.owner_lists", extra="gateway").erase(connect(), owner)
    if json:
        print_json(msgspec.to_builtins(done))
        return
    out().print(f"deleted {done.results} results and {done.arguments} spilled arguments")
