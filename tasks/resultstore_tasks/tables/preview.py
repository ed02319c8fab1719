"""TableHead: the first rows of a table, as JSON and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from reportlab.pdfgen.canvas import Canvas

from resultstore import Artifact, Store
from resultstore_tasks.csv_reader.reader import Table
from resultstore_tasks.documents.task import draw_cover
from resultstore_tasks.report.lettering import BODY, STRONG, Lettering, draw_runs
from resultstore_tasks.report.sheet import GREY, HAIR, INK, PAPER, ZEBRA

ROWS: Final = 20
CELL_MAX_CHARS: Final = 200
_PICTURE_WIDTH: Final = 960  # pixels
_DRAWN_ROWS, _DRAWN_COLUMNS = 12, 6
_WIDTH, _PITCH, _SIZE, _EDGE = 480.0, 20.0, 9.0, 12.0  # points


class TableHead(msgspec.Struct, frozen=True):
    """First rows of a table: names and types of its columns, and cells as text (None for an empty one)."""

    columns: list[str]
    types: list[str]
    rows: list[list[str | None]]


def head_of(table: Table) -> TableHead:
    """Return the first 20 rows of a table, with the text of each cell as it was written."""
    columns: list[list[str | None]] = [[] for _ in table.names]
    for batch in table.texts():
        for column, cells in zip(columns, batch.columns, strict=True):
            column += [_cell(one.as_py()) for one in cells.slice(0, ROWS - len(column))]
        if len(columns[0]) >= ROWS:
            break
    return TableHead(
        table.names, [str(one) for one in table.schema.types], [list(row) for row in zip(*columns, strict=True)]
    )


def draw(head: TableHead, out: Path) -> None:
    """Draw the first columns and rows on one page, into a PDF at `out`."""
    columns, rows = head.columns[:_DRAWN_COLUMNS], [row[:_DRAWN_COLUMNS] for row in head.rows[:_DRAWN_ROWS]]
    lettering = Lettering([*columns, *(cell for row in rows for cell in row if cell is not None)])
    height = (len(rows) + 1) * _PITCH + 2 * _EDGE
    canvas = Canvas(str(out), pagesize=(_WIDTH, height), invariant=1)
    canvas.setFillColor(PAPER)
    canvas.rect(0, 0, _WIDTH, height, stroke=0, fill=1)
    top = height - _EDGE - _PITCH
    _line(canvas, columns, top, face=STRONG, lettering=lettering)
    canvas.setStrokeColor(HAIR)
    canvas.line(_EDGE, top, _WIDTH - _EDGE, top)
    for number, row in enumerate(rows):
        y = top - (number + 1) * _PITCH
        if number % 2:
            canvas.setFillColor(ZEBRA)
            canvas.rect(_EDGE, y, _WIDTH - 2 * _EDGE, _PITCH, stroke=0, fill=1)
        _line(canvas, row, y, face=BODY, lettering=lettering)
    canvas.save()


def _line(canvas: Canvas, cells: Sequence[str | None], y: float, *, face: str, lettering: Lettering) -> None:
    width = (_WIDTH - 2 * _EDGE) / max(1, len(cells))
    for number, cell in enumerate(cells):
        canvas.setFillColor(GREY if cell is None else INK)
        text = lettering.fitted("\u2013" if cell is None else cell, width - 8, face=face, size=_SIZE)
        draw_runs(canvas, _EDGE + number * width + 4, y + 6, lettering.runs(text, face), size=_SIZE)


def store_picture(store: Store, head: TableHead, *, name: str, facts: dict[str, str | int]) -> Artifact:
    """Store a picture of `head` as a JPEG named `name`, with `facts` and its size as metadata."""
    with TemporaryDirectory(prefix="resultstore-") as folder:
        page = Path(folder) / "head.pdf"
        draw(head, page)
        picture, drawn = draw_cover(page, width=_PICTURE_WIDTH)
        size = {"width": drawn.width, "height": drawn.height}
        return store.put(picture, name=name, media_type="image/jpeg", metadata={**facts, **size})


def _cell(text: str | None) -> str | None:
    return None if text is None else text[:CELL_MAX_CHARS]
