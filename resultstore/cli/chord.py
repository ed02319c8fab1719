"""The command that shows the progress of a Celery chord, and sends its body again."""

from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from resultstore.cli.extras import require_extra
from resultstore.cli.output import marked, out, print_json, state_text
from resultstore.model.errors import ResultMissing

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command()(chord)


def chord(
    group_id: Annotated[str, typer.Argument(metavar="GID", help="The group's id, such as `result.parent.id`.")],
    dispatch: Annotated[  # noqa: FBT002
        bool, typer.Option("--dispatch", help="Send the body again. Needs all parts, and --app to apply your routes.")
    ] = False,
    app: Annotated[str | None, typer.Option("--app", "-A", help="Your Celery app, as for `celery -A`.")] = None,
    json: Json = False,  # noqa: FBT002
) -> None:
    """Show a Celery chord: finished parts, missing parts, and whether its body (callback) was sent."""
    celery_app = require_extra("resultstore.cli.celery_app", extra="celery")
    celery = celery_app.load_app(app)
    if dispatch and not celery_app.dispatch_body(celery, group_id):
        header = celery_app.read_chord(celery, group_id)
        raise ResultMissing(
            f"the body of chord {group_id} cannot be sent ({header.stage}): {len(header.present)} of {header.size} "
            "parts have finished; run the missing ones again under their ids"
        )
    header = celery_app.read_chord(celery, group_id)
    if json:
        print_json(msgspec.to_builtins(header))
    else:
        _show(header)


def _show(header: Any) -> None:  # noqa: ANN401 - its module needs an extra
    out().print(marked("[bold]{}[/]  {}", header.id, header.stage))
    if header.lease_s:
        out().print(marked("[dim]another worker takes over in {} s[/]", f"{header.lease_s:.0f}"))
    if header.size:
        out().print(f"{len(header.present)} of {header.size} parts have finished")
    if not header.present and not header.missing:
        return
    table = Table("Part", "State", "", box=None, pad_edge=False, header_style="dim")
    for parts, word in ((header.present, "finished"), (header.missing, "missing")):
        for part in parts:
            table.add_row(part.id, state_text(part.state or "unknown"), word)
    out().print(table)
