"""Pages of a report before its table of all rows."""

import itertools
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from resultstore_tasks.report import charts, facts as table_facts
from resultstore_tasks.report.charts import ChartArea, spoken
from resultstore_tasks.report.facts import Column, Facts
from resultstore_tasks.report.sheet import (
    ACCENT,
    BOTTOM,
    FAINT,
    GREY,
    HEIGHT,
    INK,
    LEFT,
    LIGHT,
    MEASURE,
    RIGHT,
    STRONG,
    ZEBRA,
    Sheet,
    width_of,
)

HISTOGRAMS_A_PAGE = 15
MOST_STRIPS = 14
MOST_IN_MATRIX = 14
STATISTICS_A_PAGE = 36


class ContentsEntry(msgspec.Struct, frozen=True):
    """Entry of the table of contents: a section, its first page and its bookmark."""

    section: str
    page: int
    mark: str


def cover(
    sheet: Sheet, facts: Facts, *, title: str, source: str, contents: Sequence[ContentsEntry], notes: Sequence[str] = ()
) -> None:
    """Draw the title, `notes` on how the table was read, key figures, an overview chart and the contents."""
    sheet.box(LEFT, HEIGHT - 84, 34, 3.2, colour=ACCENT)
    sheet.text(LEFT, HEIGHT - 108, "TABLE REPORT", face=STRONG, size=7.5, colour=ACCENT, spacing=1.6)
    y = HEIGHT - 152
    for line in _title_lines(title):
        sheet.text(LEFT - 1.5, y, line, face=LIGHT, size=38)
        y -= 43
    sheet.text(LEFT, y + 14, source, size=10.5, colour=GREY, max_width=MEASURE)
    for note in notes:
        y -= 14
        sheet.text(LEFT, y + 12, note, size=8.5, colour=ACCENT, max_width=MEASURE)
    _key_figures(sheet, facts, y - 48)
    contents_y = 62 + 15.5 * len(contents)
    if facts.numeric:
        _look(sheet, facts, top=y - 112, bottom=contents_y + 50)
    _contents(sheet, contents, contents_y)


def distributions(sheet: Sheet, columns: Sequence[Column]) -> None:
    """Draw up to fifteen histograms, three in a row."""
    y = sheet.heading("Distributions", "How the values of each numeric column are spread. The green line is the mean.")
    gap = 26.0
    width = (MEASURE - 2 * gap) / 3
    pitch = (y - BOTTOM) / 5
    for n, column in enumerate(columns):
        x = LEFT + (n % 3) * (width + gap)
        low = y - (n // 3 + 1) * pitch
        top = low + pitch - 18
        sheet.text(x, top, spoken(column.name), face=STRONG, size=8.5, max_width=width - 44)
        mean = column.printed(float(column.present.mean()), more=1)
        sheet.text(x + width, top, mean, size=8.5, colour=ACCENT, align="right")
        charts.histogram(sheet, ChartArea(x, low + 18, width, pitch - 48), column)


def relations(sheet: Sheet, facts: Facts) -> None:
    """Draw the most correlated pair as a scatter plot, and all pairs as a matrix."""
    assert facts.strongest is not None
    i, j = facts.strongest
    x, y = facts.numeric[i], facts.numeric[j]
    r = table_facts.printed(float(facts.correlations[i, j]), decimals=2)
    lead = f"{spoken(x.name).capitalize()} and {spoken(y.name)} move together most: r = {r}."
    free = sheet.heading("Relations", lead)
    charts.scatter(sheet, ChartArea(LEFT + 30, free - 238, MEASURE - 30, 212), x, y)
    sheet.text(LEFT, free - 300, "Correlation of each pair", face=STRONG, size=9.5)
    note = "Pearson's r. Filled: positive; outlined: negative; the stronger, the darker."
    sheet.text(LEFT, free - 314, note, size=8.5, colour=GREY)
    charts.matrix(sheet, ChartArea(LEFT, BOTTOM + 2, MEASURE, free - 330 - BOTTOM), facts, most=MOST_IN_MATRIX)


def statistics(sheet: Sheet, facts: Facts, columns: Sequence[Column], *, with_groups: bool) -> None:
    """Draw a line of figures for each column, and the groups of the category below if `with_groups`."""
    y = sheet.heading("Statistics", f"Each column in figures, over {facts.rows:,} rows.")
    heads = ("Mean", "Std. dev.", "Minimum", "Median", "Maximum", "Empty")
    stops = [RIGHT - 62.0 * (len(heads) - 1 - n) for n in range(len(heads))]
    for head, stop in zip(heads, stops, strict=True):
        sheet.text(stop, y, head, face=STRONG, size=7.5, align="right")
    sheet.text(LEFT + 6, y, "Column", face=STRONG, size=7.5)
    sheet.rule(LEFT, y - 6, RIGHT, colour=ACCENT, weight=1.2)
    for n, column in enumerate(columns):
        base = y - 19 - n * 15.5
        if n % 2 == 0:
            sheet.box(LEFT, base - 4.8, MEASURE, 15.5, colour=ZEBRA)
        sheet.text(LEFT + 6, base, spoken(column.name), size=8.6, max_width=stops[0] - LEFT - 58)
        for figure, stop in zip(_figures(column), stops, strict=True):
            quiet = figure in {"0", table_facts.EMPTY}
            size = 8.6 * min(1.0, 56 / max(1.0, width_of(figure, size=8.6)))  # a long id is printed smaller, not cut
            sheet.text(stop, base, figure, size=size, align="right", colour=FAINT if quiet else INK)
    if with_groups and facts.category is not None:
        _groups(sheet, facts.category, y - 19 - len(columns) * 15.5 - 34)


def batched(columns: Sequence[Column], size: int) -> Iterator[list[Column]]:
    """Yield `columns` in lists of `size`; the last one may be shorter."""
    rest = iter(columns)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _title_lines(title: str) -> list[str]:
    lines: list[str] = []
    for word in title.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width_of(longer, face=LIGHT, size=38) <= MEASURE:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines[:3]


def _key_figures(sheet: Sheet, facts: Facts, y: float) -> None:
    cells = facts.rows * len(facts.columns)
    filled = 100 * (1 - facts.empty_cells / cells)
    figures = [
        (f"{facts.rows:,}", "rows"),
        (f"{len(facts.columns):,}", "columns"),
        (f"{len(facts.numeric):,}", "numeric columns"),
        (f"{filled:.0f} %" if filled in {0, 100} else f"{filled:.1f} %", "of cells filled"),
    ]
    step = MEASURE / len(figures)
    sheet.rule(LEFT, y + 40, RIGHT)
    for n, (figure, label) in enumerate(figures):
        sheet.text(LEFT + n * step, y + 4, figure, face=LIGHT, size=28)
        sheet.text(LEFT + n * step, y - 11, label, size=8.5, colour=GREY)
    sheet.rule(LEFT, y - 28, RIGHT)


def _look(sheet: Sheet, facts: Facts, *, top: float, bottom: float) -> None:
    shown = facts.numeric[:MOST_STRIPS]
    sheet.text(LEFT, top, "The table at a glance", face=STRONG, size=9.5)  # words: KEPT plain English
    note = "One tick a row, from the least to the largest value of each column. The dark tick is the median."
    sheet.text(LEFT, top - 13, note, size=8.5, colour=GREY, max_width=MEASURE)
    height = min(top - 30 - bottom, 24.0 * len(shown))
    charts.strips(sheet, ChartArea(LEFT, top - 30 - height, MEASURE, height), shown)


def _contents(sheet: Sheet, contents: Sequence[ContentsEntry], y: float) -> None:
    sheet.rule(LEFT, y + 18, RIGHT)
    for n, entry in enumerate(contents):
        base = y - n * 15.5
        sheet.text(LEFT, base, entry.section, size=9)
        sheet.text(RIGHT, base, f"{entry.page}", size=9, colour=GREY, align="right")
        sheet.canvas.linkRect("", entry.mark, (LEFT, base - 4, RIGHT, base + 10), relative=0)


def _figures(column: Column) -> tuple[str, ...]:
    none = table_facts.EMPTY
    empty = f"{column.empty:,}"
    if column.numbers is None or column.present.size == 0:
        return (none, none, none, none, none, empty)
    values = column.present
    return (
        column.printed(float(values.mean()), more=1),
        column.printed(float(values.std()), more=1),
        column.least,
        column.printed(float(np.median(values)), more=1),
        column.largest,
        empty,
    )


def _groups(sheet: Sheet, category: Column, y: float) -> None:
    sheet.text(LEFT, y, f"Rows by {spoken(category.name)}", face=STRONG, size=9.5)
    charts.bars(sheet, ChartArea(LEFT, BOTTOM, MEASURE, y - 14 - BOTTOM), category)
