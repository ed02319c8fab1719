"""The commands for share links: share, shares, unshare."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer
from rich.table import Table

from resultstore.cli.output import out, print_json
from resultstore.connect import connect
from resultstore.model.errors import ArtifactMissing, Misconfigured, ResultMissing
from resultstore.model.layout import DAY_S
from resultstore.store import Store
from resultstore.store.shares import CountedShare

Id = Annotated[str, typer.Argument(metavar="ID", help="The result's id.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

_UNITS_S: Final = {"m": 60, "h": 3_600, "d": DAY_S}
_LENGTH: Final = re.compile(r"(\d{1,6})([mhd])")


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    for command in (share, shares, unshare):
        app.command()(command)


def share(
    id: Id,
    name: Annotated[str, typer.Argument(help="The artifact's name.")],
    expires: Annotated[str, typer.Option(help="How long the link works: 30m, 12h, 30d; at most 365d.")] = "30d",
    max_uses: Annotated[int, typer.Option(help="How many downloads may begin; 0: any number.")] = 0,
    *,
    inline: Annotated[
        bool, typer.Option("--inline", help="Let browsers show the file, if it is of a safe type.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a link by which anyone can download an artifact, until it expires or is revoked.

    The link leads to the gateway (RESULTSTORE_GATEWAY_URL), which redirects to a new presigned URL each time.
    """
    store = connect()
    url = _public_url(store)
    result = store.load(id)
    if result is None:
        raise ResultMissing(f"no result is known under the id {id[:100]!a}")
    artifact = result.artifact(name)
    if artifact is None:
        raise ArtifactMissing(f"result {id[:100]!a} has no artifact {name[:100]!a}; see `resultstore show`")
    made = store.shares.create(artifact, expires_in_s=_seconds(expires), inline=inline, max_uses=max_uses)
    link = f"{url}/share/{store.shares.token(made)}"
    if json:
        print_json(msgspec.to_builtins(made) | {"url": link})
        return
    out().print(link, soft_wrap=True, markup=False, highlight=False)


def shares(id: Id, json: Json = False) -> None:  # noqa: FBT002
    """List the share links of a result: when they end, and how often they were used."""
    found = connect().shares.of_result(id)
    if json:
        print_json([msgspec.to_builtins(one.share) | {"uses": one.uses} for one in found])
        return
    table = Table("share", "artifact", "made", "expires", "uses", "revoked")
    for one in found:
        table.add_row(*_row(one))
    out().print(table)


def unshare(id: Id, share_id: Annotated[str, typer.Argument(metavar="SHARE", help="The share's id.")]) -> None:
    """Revoke a share link. It fails from now on; a download that has begun is not ended."""
    connect().shares.revoke(id, share_id)


def _row(one: CountedShare) -> tuple[str, ...]:
    share = one.share
    limit = f" of {share.max_uses}" if share.max_uses else ""
    revoked = "" if share.revoked_at is None else _time(share.revoked_at)
    return share.id, share.name, _time(share.created_at), _time(share.expires_at), f"{one.uses}{limit}", revoked


def _time(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _public_url(store: Store) -> str:
    url = store.settings.gateway.url.rstrip("/")
    if not url:
        raise Misconfigured("a share link needs the gateway's public URL: set RESULTSTORE_GATEWAY_URL")
    return url


def _seconds(length: str) -> int:
    found = _LENGTH.fullmatch(length)
    if found is None:
        raise typer.BadParameter("write a number and m, h or d, such as 12h or 30d", param_hint="--expires")
    return int(found[1]) * _UNITS_S[found[2]]
