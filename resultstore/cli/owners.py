"""Owners: the commands about all that owners have: rebuild, erase."""

from typing import Annotated

import msgspec
import typer

from resultstore.cli.extras import enter
from resultstore.cli.output import out, print_json
from resultstore.connect import connect

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    for command in (rebuild, erase):
        app.command()(command)


def rebuild(json: Json = False) -> None:  # noqa: FBT002
    """List anew what each owner has, by reading all seals, after Redis was lost. A running gateway does so itself."""
    done = enter("resultstore.ops.owner_lists", extra="gateway").rebuild(connect())
    if json:
        print_json(msgspec.to_builtins(done))
        return
    out().print(f"read {done.seals} seals, listed {done.listed}, {done.unreadable} could not be read")


def erase(
    owner: Annotated[str, typer.Argument(help="The owner, as results name it.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete all that is stored of an owner: results, uploads, spilled arguments, events. It cannot be undone."""
    if not yes:
        typer.confirm(f"Delete everything of {owner!a}?", abort=True, err=True)
    done = enter("resultstore.ops.owner_lists", extra="gateway").erase(connect(), owner)
    if json:
        print_json(msgspec.to_builtins(done))
        return
    out().print(f"deleted {done.results} results and {done.arguments} spilled arguments")
