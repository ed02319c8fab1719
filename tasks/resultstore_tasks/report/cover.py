"""Cover of a report: title, source, date, one finding, key figures, and an overview of the table."""

from collections.abc import Sequence

import msgspec

from resultstore_tasks.report import charts
from resultstore_tasks.report.charts import ChartArea, spoken
from resultstore_tasks.report.facts import Facts
from resultstore_tasks.report.lettering import LIGHT, STRONG
from resultstore_tasks.report.sheet import (
    ACCENT,
    GREY,
    HEIGHT,
    LEFT,
    MEASURE,
    RIGHT,
    ZEBRA,
    Sheet,
)

MOST_STRIPS = 14
STRIP_PITCH = 24.0
ROW_PITCH = 17.0
ROWS_HEAD = 52.0
MOST_COLUMNS = 7
MIN_COLUMN_WIDTH = 64.0
TITLE_LINES = 3
FINDING_LINES = 3


class ContentsEntry(msgspec.Struct, frozen=True):
    """Entry of the table of contents: a section, its first page and its bookmark."""

    section: str
    page: int
    mark: str


class CoverLabels(msgspec.Struct, frozen=True, kw_only=True):
    """Texts of the cover: the title, the file name of the table, the day and a finding; "" for none."""

    title: str
    source: str
    date: str = ""
    finding: str = ""


def cover(
    sheet: Sheet, facts: Facts, *, labels: CoverLabels, contents: Sequence[ContentsEntry], notes: Sequence[str] = ()
) -> None:
    """Draw the cover. `notes` say how the table was read. The space between figures and contents is filled."""
    y = _head(sheet, labels, notes)
    _key_figures(sheet, facts, y - 48)
    contents_y = 62 + 15.5 * len(contents)
    top, bottom = y - 112, contents_y + 46
    if facts.numeric:
        strips = min(STRIP_PITCH * len(facts.numeric[:MOST_STRIPS]), top - 30 - bottom)
        _look(sheet, facts, top=top, height=strips)
        top -= 30 + strips + 26
    _first_rows(sheet, facts, top=top, bottom=bottom)
    _contents(sheet, contents, contents_y)


def _head(sheet: Sheet, labels: CoverLabels, notes: Sequence[str]) -> float:
    """Draw the title and what belongs to it; return the y below it."""
    sheet.box(LEFT, HEIGHT - 84, 34, 3.2, colour=ACCENT)
    sheet.text(LEFT, HEIGHT - 108, "TABLE REPORT", face=STRONG, size=7.5, colour=ACCENT, spacing=1.6)
    sheet.text(RIGHT, HEIGHT - 108, labels.date, size=9, colour=GREY, align="right")
    y = HEIGHT - 152
    for line in sheet.lettering.wrapped(labels.title, MEASURE, face=LIGHT, size=38)[:TITLE_LINES]:
        sheet.text(LEFT - 1.5, y, line, face=LIGHT, size=38)
        y -= 43
    sheet.text(LEFT, y + 14, f"Source: {labels.source}", size=10.5, colour=GREY, max_width=MEASURE)
    for line in sheet.lettering.wrapped(labels.finding, MEASURE, face=LIGHT, size=16)[:FINDING_LINES]:
        y -= 21
        sheet.text(LEFT, y + 7, line, face=LIGHT, size=16)
    for note in notes:
        y -= 14
        sheet.text(LEFT, y + 4, note, size=8.5, colour=ACCENT, max_width=MEASURE)
    return y - 6


def _key_figures(sheet: Sheet, facts: Facts, y: float) -> None:
    cells = facts.rows * len(facts.columns)
    filled = 100 * (1 - facts.empty_cells / cells)
    figures = [
        (f"{facts.rows:,}", "rows" if facts.rows != 1 else "row"),
        (f"{len(facts.columns):,}", "columns" if len(facts.columns) != 1 else "column"),
        (f"{len(facts.numeric):,}", "numeric columns" if len(facts.numeric) != 1 else "numeric column"),
        (f"{filled:.0f} %" if filled in {0, 100} else f"{filled:.1f} %", "of cells filled"),
    ]
    step = MEASURE / len(figures)
    sheet.rule(LEFT, y + 40, RIGHT)
    for n, (figure, label) in enumerate(figures):
        sheet.text(LEFT + n * step, y + 4, figure, face=LIGHT, size=28)
        sheet.text(LEFT + n * step, y - 11, label, size=8.5, colour=GREY)
    sheet.rule(LEFT, y - 28, RIGHT)


def _look(sheet: Sheet, facts: Facts, *, top: float, height: float) -> None:
    sheet.text(LEFT, top, "The table at a glance", face=STRONG, size=9.5)  # words: KEPT plain English
    note = "One tick a row, from the least to the largest value of each column. The dark tick is the median."
    sheet.text(LEFT, top - 13, note, size=8.5, colour=GREY, max_width=MEASURE)
    charts.strips(sheet, ChartArea(LEFT, top - 30 - height, MEASURE, height), facts.numeric[:MOST_STRIPS])


def _first_rows(sheet: Sheet, facts: Facts, *, top: float, bottom: float) -> None:
    """Draw the first rows of the first columns, as many as there is space for."""
    shown = min(facts.rows, int((top - ROWS_HEAD - bottom) // ROW_PITCH))
    if shown < 1:
        return
    columns = facts.columns[: min(MOST_COLUMNS, int(MEASURE // MIN_COLUMN_WIDTH))]
    width = MEASURE / len(columns)
    sheet.text(LEFT, top, "The first rows", face=STRONG, size=9.5)
    head = top - 24
    for n, column in enumerate(columns):
        sheet.text(LEFT + n * width + 4, head, spoken(column.name), face=STRONG, size=8, max_width=width - 10)
    sheet.rule(LEFT, head - 6, RIGHT, colour=ACCENT, weight=1.2)
    for row in range(shown):
        y = head - 6 - (row + 1) * ROW_PITCH
        if row % 2 == 0:
            sheet.box(LEFT, y, MEASURE, ROW_PITCH, colour=ZEBRA)
        for n, column in enumerate(columns):
            sheet.text(LEFT + n * width + 4, y + 5.2, column.cells[row], size=8.4, max_width=width - 10)


def _contents(sheet: Sheet, contents: Sequence[ContentsEntry], y: float) -> None:
    sheet.rule(LEFT, y + 18, RIGHT)
    for n, entry in enumerate(contents):
        base = y - n * 15.5
        sheet.text(LEFT, base, entry.section, size=9)
        sheet.text(RIGHT, base, f"{entry.page}", size=9, colour=GREY, align="right")
        sheet.canvas.linkRect("", entry.mark, (LEFT, base - 4, RIGHT, base + 10), relative=0)
