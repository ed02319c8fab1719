"""Table_head: the first rows of a table, as JSON and as a picture, beside its Parquet file."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from reportlab.pdfgen.canvas import Canvas

from resultstore import Artifact, Store
from resultstore.backends.celery import store_of
from tasks.app import app
from tasks.arguments import checked, file_stem, naming
from tasks.csv_reader.dialect import Encoding, Header
from tasks.csv_reader.reader import Table
from tasks.documents.task import drawn_cover
from tasks.report.sheet import BODY, GREY, HAIR, INK, PAPER, STRONG, ZEBRA, fitted, register_faces
from tasks.tables.convert import CAPS, halved, kept_as_parquet

TIME_LIMIT_S: Final = 900
ROWS: Final = 20
CELL_MAX_CHARS: Final = 200
_PICTURE_WIDTH: Final = 960  # pixels
_DRAWN_ROWS, _DRAWN_COLUMNS = 12, 6
_WIDTH, _PITCH, _SIZE, _EDGE = 480.0, 20.0, 9.0, 12.0  # points


class TableHead(msgspec.Struct, frozen=True):
    """The first rows: the columns' names and types, and the cells as text (null where there is none)."""

    columns: list[str]
    types: list[str]
    rows: list[list[str | None]]


@app.task(name="tables.preview", time_limit=TIME_LIMIT_S)
@checked
def preview(source: Artifact, header: Header = "auto", encoding: Encoding = "auto") -> list[Artifact]:
    """Convert a CSV table to Parquet, and show its first rows.

    Args:
        source: CSV, delimited by comma, semicolon, tab or bar, of up to 10,000 columns and 64 GiB.
        header: whether the first row holds the columns' names; `auto` refuses a table where that is not clear.
        encoding: of the text; `auto` is UTF-8, or else Windows-1252 where it looks like that.

    Returns a picture (JPEG) and a JSON document of the first rows, then the Parquet file.

    Raises BadInput for what is no table, naming row and column.
    """
    store = store_of(app)
    stem = file_stem(source, "table")

    def report(done: float, total: float, note: str) -> None:
        store.progress(done, total or source.size_bytes, note)

    with naming("table", source), store.open(source) as stream:
        table = Table(stream, caps=CAPS, header=header, encoding=encoding, report=halved(report))
        head = head_of(table)
        facts = {"columns": len(head.columns), **table.notes()}
        shown = [
            _kept_picture(store, head, name=f"{stem}-head.jpg", facts=facts),
            store.put(
                msgspec.json.encode(head), name=f"{stem}-head.json", media_type="application/json", metadata=facts
            ),
        ]
        return [*shown, kept_as_parquet(store, source, table, report=report)]


def head_of(table: Table) -> TableHead:
    """Return the first 20 rows of a table, their cells as they stand in it."""
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
    """The table's first columns and rows on one page, into a PDF at `out`."""
    register_faces()
    columns, rows = head.columns[:_DRAWN_COLUMNS], [row[:_DRAWN_COLUMNS] for row in head.rows[:_DRAWN_ROWS]]
    height = (len(rows) + 1) * _PITCH + 2 * _EDGE
    canvas = Canvas(str(out), pagesize=(_WIDTH, height), invariant=1)
    canvas.setFillColor(PAPER)
    canvas.rect(0, 0, _WIDTH, height, stroke=0, fill=1)
    top = height - _EDGE - _PITCH
    _line(canvas, columns, top, face=STRONG)
    canvas.setStrokeColor(HAIR)
    canvas.line(_EDGE, top, _WIDTH - _EDGE, top)
    for number, row in enumerate(rows):
        y = top - (number + 1) * _PITCH
        if number % 2:
            canvas.setFillColor(ZEBRA)
            canvas.rect(_EDGE, y, _WIDTH - 2 * _EDGE, _PITCH, stroke=0, fill=1)
        _line(canvas, row, y, face=BODY)
    canvas.save()


def _line(canvas: Canvas, cells: Sequence[str | None], y: float, *, face: str) -> None:
    width = (_WIDTH - 2 * _EDGE) / max(1, len(cells))
    for number, cell in enumerate(cells):
        canvas.setFillColor(GREY if cell is None else INK)
        canvas.setFont(face, _SIZE)
        text = fitted("\u2013" if cell is None else cell, width - 8, face=face, size=_SIZE)
        canvas.drawString(_EDGE + number * width + 4, y + 6, text)


def _kept_picture(store: Store, head: TableHead, *, name: str, facts: dict[str, str | int]) -> Artifact:
    with TemporaryDirectory(prefix="resultstore-") as folder:
        page = Path(folder) / "head.pdf"
        draw(head, page)
        picture, drawn = drawn_cover(page, width=_PICTURE_WIDTH)
        size = {"width": drawn.width, "height": drawn.height}
        return store.put(picture, name=name, media_type="image/jpeg", metadata={**facts, **size})


def _cell(text: str | None) -> str | None:
    return None if text is None else text[:CELL_MAX_CHARS]
