"""Pages of a report between its cover and its table of all rows."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from resultstore_tasks.report import charts, facts as table_facts
from resultstore_tasks.report.charts import ChartArea, spoken
from resultstore_tasks.report.facts import Column, Facts
from resultstore_tasks.report.lettering import LIGHT, STRONG
from resultstore_tasks.report.sheet import (
    ACCENT,
    BOTTOM,
    FAINT,
    GREY,
    INK,
    LEFT,
    MEASURE,
    RIGHT,
    TOP,
    ZEBRA,
    Sheet,
)

HISTOGRAMS_A_PAGE = 15
MOST_IN_MATRIX = 14
STATISTICS_A_PAGE = 36
FEW_COLUMNS, FEW_NUMERIC = 10, 2
MAX_HISTOGRAM = 330.0  # points, with its labels
_SPREAD = "How the values of each numeric column are spread. The green line is the mean."


def fit_on_one(facts: Facts) -> bool:
    """Return True if histograms and statistics fit on one page."""
    return len(facts.numeric) <= FEW_NUMERIC and len(facts.columns) <= FEW_COLUMNS


def distributions_and_statistics(sheet: Sheet, facts: Facts) -> None:
    """Draw the histograms, if there are any, with the statistics and the groups below them on one page."""
    y = TOP - 66.0
    if facts.numeric:
        y = sheet.heading("Distributions", _SPREAD)
        height = (y - BOTTOM) / 2
        _histograms(sheet, facts.numeric, top=y, pitch=height / len(facts.numeric))
        y -= height + 40
    _statistics(sheet, facts, facts.columns, top=y if facts.numeric else None, with_groups=True)


def distributions(sheet: Sheet, columns: Sequence[Column]) -> None:
    """Draw up to fifteen histograms: the fewer, the larger."""
    y = sheet.heading("Distributions", _SPREAD)
    across = _across(columns)
    pitch = (y - BOTTOM) / min(5, -(-len(columns) // across))
    _histograms(sheet, columns, top=y, pitch=min(pitch, MAX_HISTOGRAM))


def _across(columns: Sequence[Column]) -> int:
    return 1 if len(columns) <= 2 else 2 if len(columns) <= 6 else 3  # noqa: PLR2004 - so that the page is filled


def _histograms(sheet: Sheet, columns: Sequence[Column], *, top: float, pitch: float) -> None:
    across = _across(columns)
    gap = 26.0
    width = (MEASURE - (across - 1) * gap) / across
    for n, column in enumerate(columns):
        x = LEFT + (n % across) * (width + gap)
        low = top - (n // across + 1) * pitch
        title = low + pitch - 18
        sheet.text(x, title, spoken(column.name), face=STRONG, size=8.5, max_width=width - 44)
        mean = column.printed(float(column.present.mean()), more=1)
        sheet.text(x + width, title, mean, size=8.5, colour=ACCENT, align="right")
        charts.histogram(sheet, ChartArea(x, low + 18, width, pitch - 48), column)


def relations(sheet: Sheet, facts: Facts) -> None:
    """Draw the most correlated pair as a scatter plot, and all pairs as a matrix."""
    assert facts.strongest is not None
    i, j = facts.strongest
    x, y = facts.numeric[i], facts.numeric[j]
    r = table_facts.printed(float(facts.correlations[i, j]), decimals=2)
    lead = f"{spoken(x.name).capitalize()} and {spoken(y.name)} move together most: r = {r}."
    free = sheet.heading("Relations", lead)
    cells = min(len(facts.numeric), MOST_IN_MATRIX)
    cell = charts.MAX_CELL_OF_FEW if cells <= charts.FEW else charts.MAX_CELL
    height = max(212.0, free - BOTTOM - 118 - cells * cell)
    charts.scatter(sheet, ChartArea(LEFT + 30, free - 26 - height, MEASURE - 30, height), x, y)
    below = free - 88 - height
    sheet.text(LEFT, below, "Correlation of each pair", face=STRONG, size=9.5)
    note = "Pearson's r. Filled: positive; outlined: negative; the stronger, the darker."
    sheet.text(LEFT, below - 14, note, size=8.5, colour=GREY)
    charts.matrix(sheet, ChartArea(LEFT, BOTTOM + 2, MEASURE, below - 30 - BOTTOM), facts, most=MOST_IN_MATRIX)


def statistics(sheet: Sheet, facts: Facts, columns: Sequence[Column], *, with_groups: bool) -> None:
    """Draw a line of figures for each column, and the groups of the category below if `with_groups`."""
    _statistics(sheet, facts, columns, top=None, with_groups=with_groups)


def _statistics(sheet: Sheet, facts: Facts, columns: Sequence[Column], *, top: float | None, with_groups: bool) -> None:
    """Draw the statistics below `top`, or with a page's heading if it is None."""
    lead = f"Each column in figures, over {facts.rows:,} rows."
    if top is None:
        y = sheet.heading("Statistics", lead)
    else:
        sheet.text(LEFT, top, "Statistics", face=LIGHT, size=24)
        sheet.text(LEFT, top - 18, lead, size=9.5, colour=GREY, max_width=MEASURE)
        y = top - 46
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
            # A long id is printed smaller, not cut.
            size = 8.6 * min(1.0, 56 / max(1.0, sheet.lettering.width(figure, size=8.6)))
            sheet.text(stop, base, figure, size=size, align="right", colour=FAINT if quiet else INK)
    if with_groups and facts.category is not None:
        _groups(sheet, facts.category, y - 19 - len(columns) * 15.5 - 34)


def batched(columns: Sequence[Column], size: int) -> Iterator[list[Column]]:
    """Yield `columns` in lists of `size`; the last one may be shorter."""
    rest = iter(columns)
    while batch := list(itertools.islice(rest, size)):
        yield batch


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
