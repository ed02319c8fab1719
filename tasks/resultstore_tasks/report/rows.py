"""Table of all rows of a report, on as many pages as needed."""

import itertools
from collections.abc import Iterator, Sequence

import msgspec

from resultstore_tasks.report.charts import spoken
from resultstore_tasks.report.facts import Column
from resultstore_tasks.report.lettering import STRONG, Lettering, printable
from resultstore_tasks.report.sheet import (
    ACCENT,
    BOTTOM,
    FAINT,
    GREY,
    LEFT,
    MEASURE,
    RIGHT,
    TOP,
    ZEBRA,
    Sheet,
)

SIZE = 7.4
HEAD_SIZE = 6.2
PITCH = 13.6
HEAD_PITCH = 7.6
HEAD_LINES = 4
GAP = 6.5
MAX_CELL_WIDTH = 150.0
MAX_STRETCH = 46.0
NUMBER_WIDTH = 22.0  # the row numbers on the left
WIDEST_OF = 400  # rows that are measured for a column's width; wider cells of other rows are cut

FIRST_Y = TOP - 18 - HEAD_LINES * HEAD_PITCH
ROWS_A_PAGE = int((FIRST_Y - BOTTOM) // PITCH)


class Slot(msgspec.Struct, frozen=True):
    """Position and width of a column on the page, in points."""

    column: Column
    x: float
    width: float


class TablePanel(msgspec.Struct, frozen=True):
    """Part of the table on one page: some columns of the rows from `start` up to `end`, exclusive."""

    slots: list[Slot]
    start: int
    end: int
    part: str


def panels(columns: Sequence[Column], rows: int, *, lettering: Lettering) -> Iterator[TablePanel]:
    """Yield the pages of the table: all rows of the first columns that fit side by side, then of the next."""
    groups = list(_groups(columns, lettering))
    for n, group in enumerate(groups, start=1):
        slots = _placed(group)
        part = f"columns {n} of {len(groups)}" if len(groups) > 1 else ""
        for start in range(0, rows, ROWS_A_PAGE):
            yield TablePanel(slots, start, min(rows, start + ROWS_A_PAGE), part)


def draw(sheet: Sheet, panel: TablePanel) -> None:
    """Draw one page of the table: its header, then its rows."""
    _head(sheet, panel)
    for n, row in enumerate(range(panel.start, panel.end)):
        y = FIRST_Y - (n + 1) * PITCH
        if n % 2 == 0:
            sheet.box(LEFT, y, MEASURE, PITCH, colour=ZEBRA)
        base = y + 4.1
        sheet.text(LEFT + NUMBER_WIDTH - 4, base, f"{row + 1}", size=SIZE - 1, colour=FAINT, align="right")
        for slot in panel.slots:
            _cell(sheet, slot, slot.column.cells[row], base)


def _head(sheet: Sheet, panel: TablePanel) -> None:
    shown = f"rows {panel.start + 1:,} to {panel.end:,}" + (f", {panel.part}" if panel.part else "")
    sheet.text(RIGHT, TOP + 14, shown, size=7.5, colour=GREY, align="right")
    base = FIRST_Y + 7
    for slot in panel.slots:
        lines = _heading(spoken(slot.column.name), slot.width, sheet.lettering)
        for n, line in enumerate(reversed(lines)):
            _cell(sheet, slot, line, base + n * HEAD_PITCH, face=STRONG, size=HEAD_SIZE)
    sheet.rule(LEFT, FIRST_Y, RIGHT, colour=ACCENT, weight=1.2)


def _cell(sheet: Sheet, slot: Slot, line: str, base: float, *, face: str = "SourceSans", size: float = SIZE) -> None:
    if slot.column.numbers is None:
        sheet.text(slot.x, base, line, face=face, size=size, max_width=slot.width)
    else:
        sheet.text(slot.x + slot.width, base, line, face=face, size=size, align="right", max_width=slot.width)


def _groups(columns: Sequence[Column], lettering: Lettering) -> Iterator[list[tuple[Column, float]]]:
    free_width = MEASURE - NUMBER_WIDTH
    group: list[tuple[Column, float]] = []
    used = 0.0
    for column in columns:
        width = _natural_width(column, lettering)
        if group and used + width + GAP > free_width:
            yield group
            group, used = [], 0.0
        group.append((column, width))
        used += width + GAP
    yield group


def _placed(group: list[tuple[Column, float]]) -> list[Slot]:
    spare = MEASURE - NUMBER_WIDTH - sum(width + GAP for _, width in group)
    stretch = min(MAX_STRETCH, spare / len(group))
    slots: list[Slot] = []
    x = LEFT + NUMBER_WIDTH
    for column, width in group:
        # Spare width goes before a number, which is aligned right, and after a text, which is aligned left.
        before = GAP + (0.0 if column.numbers is None else stretch)
        after = stretch if column.numbers is None else 0.0
        slots.append(Slot(column, x + before, width))
        x += before + width + after
    return slots


def _natural_width(column: Column, lettering: Lettering) -> float:
    step = max(1, len(column.cells) // WIDEST_OF)
    cells = max(lettering.width(cell[:80], size=SIZE) for cell in itertools.islice(column.cells, 0, None, step))
    width = max(cells, 12.0)
    name = spoken(column.name)
    while width < MAX_CELL_WIDTH and not _holds(name, width, lettering):
        width += 2
    return min(MAX_CELL_WIDTH, width + 0.5)


def _holds(name: str, width: float, lettering: Lettering) -> bool:
    lines = _heading(name, width, lettering)
    return all(lettering.width(line, face=STRONG, size=HEAD_SIZE) <= width for line in lines)


def _heading(name: str, width: float, lettering: Lettering) -> list[str]:
    """Return the lines of a column's heading, broken between words."""
    lines: list[str] = []
    for word in printable(name).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and lettering.width(longer, face=STRONG, size=HEAD_SIZE) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > HEAD_LINES:
        return [*lines[: HEAD_LINES - 1], " ".join(lines[HEAD_LINES - 1 :])]
    return lines
