"""The commands for static tokens: token new, token add."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from resultstore.cli.output import err, marked, out, print_json
from resultstore.gateway.identity.token_file import (
    SCOPES,
    TokenEntry,
    append_entry,
    check_owner,
    check_scopes,
    new_token,
    token_hash,
)
from resultstore.model.errors import BadInput, Misconfigured
from resultstore.settings import Settings

DEFAULT_SCOPES = "read,upload,run,delete"
MIN_TOKEN_CHARS, MAX_TOKEN_CHARS = 32, 8192

Owner = Annotated[str, typer.Option(help="Owner of the results that the bearer starts and sees.")]
Scopes = Annotated[str, typer.Option(help=f"What the bearer may do, separated by commas: {', '.join(SCOPES)}.")]
File = Annotated[Path | None, typer.Option(help="Token file; by default RESULTSTORE_AUTH_TOKENS_FILE.")]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    group = typer.Typer(name="token", help="Static tokens for the gateway.", no_args_is_help=True)
    group.callback()(_about)
    group.command("new")(new)
    group.command("add")(add)
    app.add_typer(group)


def new(
    owner: Owner,
    scopes: Scopes = DEFAULT_SCOPES,
    note: Annotated[str, typer.Option(help="A comment for readers of the file.")] = "",
    file: File = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,  # noqa: FBT002
) -> None:
    """Create a token, add its hash to the token file, and print the token. It is not shown again."""
    token = new_token()
    grant = TokenEntry(token_hash(token), check_owner(owner), check_scopes(scopes), " ".join(note.split()))
    append_entry(_file(file), grant)
    if json:
        print_json({"token": token, "owner": grant.owner, "scopes": sorted(grant.scopes)})
    else:
        hint = marked("[dim]token for {}; only its hash is stored, in {}[/]", grant.owner, _file(file))
        out().print(token, soft_wrap=True, highlight=False)
        err().print(hint, soft_wrap=True)


def add(
    owner: Owner,
    scopes: Scopes = DEFAULT_SCOPES,
    file: File = None,
) -> None:
    """Read a token from stdin and add its hash to the token file; for tokens created elsewhere."""
    token = sys.stdin.read(MAX_TOKEN_CHARS).strip()
    if len(token) < MIN_TOKEN_CHARS:
        raise BadInput(f"a token of fewer than {MIN_TOKEN_CHARS} random characters can be guessed: use a longer one")
    append_entry(_file(file), TokenEntry(token_hash(token), check_owner(owner), check_scopes(scopes)))
    err().print(marked("[dim]token for {}; only its hash is stored, in {}[/]", owner, _file(file)), soft_wrap=True)


def _about() -> None:
    """Static tokens for the gateway."""


def _file(named: Path | None) -> Path:
    """Return the token file. Raises Misconfigured if neither the option nor the setting names one."""
    path = named or Path(Settings().identity.tokens_file)
    if path == Path():
        raise Misconfigured("name the token file: --file, or RESULTSTORE_AUTH_TOKENS_FILE")
    return path
