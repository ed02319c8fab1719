"""Charts of a report, drawn as vectors on a sheet."""

from collections.abc import Sequence

import msgspec
import numpy as np

from resultstore_tasks.report.facts import Column, Facts, Numbers, percent, printed, shares, unit
from resultstore_tasks.report.lettering import BODY, STRONG
from resultstore_tasks.report.sheet import ACCENT, FAINT, GREY, HAIR, INK, PAPER, TINT, Sheet, faded, mixed

BINS = 18
MAX_DOTS = 1_500
MAX_TICKS = 260
MAX_CELL = 27.0
MAX_CELL_OF_FEW = 54.0
FEW = 6
MAX_BAR_PITCH = 64.0


class ChartArea(msgspec.Struct, frozen=True):
    """Area of a chart: its lower left corner and its size, in points."""

    x: float
    y: float
    width: float
    height: float


def histogram(sheet: Sheet, frame: ChartArea, column: Column) -> None:
    """Draw a histogram, with the mean marked and the range below."""
    values = unit(column.present)
    counts, _ = np.histogram(values, bins=BINS, range=(0, 1))
    mean_x = frame.x + frame.width * float(values.mean())
    step = frame.width / BINS
    for n, count in enumerate(counts):
        tall = frame.height * float(count) / float(counts.max())
        if count:
            sheet.box(frame.x + n * step + 0.4, frame.y, step - 0.8, max(tall, 0.8), colour=TINT)
    sheet.rule(frame.x, frame.y, frame.x + frame.width, colour=FAINT)
    sheet.line(mean_x, frame.y - 2.5, mean_x, frame.y + frame.height, colour=ACCENT, weight=1)
    small = frame.y - 11
    sheet.text(frame.x, small, column.least, size=7, colour=GREY)
    sheet.text(frame.x + frame.width, small, column.largest, size=7, colour=GREY, align="right")


def strips(sheet: Sheet, frame: ChartArea, columns: Sequence[Column]) -> None:
    """Draw each column's values as ticks between its smallest and its largest one."""
    label_width = 128.0
    pitch = frame.height / len(columns)
    for n, column in enumerate(columns):
        y = frame.y + frame.height - (n + 1) * pitch
        tall = min(pitch * 0.52, 13)
        sheet.text(frame.x, y + tall / 2 - 2.6, spoken(column.name), size=8, colour=GREY, max_width=label_width - 12)
        _ticks(sheet, ChartArea(frame.x + label_width, y, frame.width - label_width, tall), column)


def bars(sheet: Sheet, frame: ChartArea, column: Column) -> None:
    """Draw the number of rows of each value of a text column."""
    found = shares(column)
    rows = sum(count for _, count in found)
    pitch = min(MAX_BAR_PITCH, frame.height / len(found))
    thick = min(24.0, pitch * 0.42)
    for n, (value, count) in enumerate(found):
        y = frame.y + frame.height - (n + 1) * pitch
        wide = (frame.width - 210) * count / found[0][1]
        middle = y + thick / 2
        sheet.text(frame.x, middle - 3, value, size=9, max_width=112)
        sheet.box(frame.x + 120, y, wide, thick, colour=ACCENT if n == 0 else mixed(PAPER, ACCENT, 0.45))
        note = f"{count:,}  ({percent(count, rows)})"
        sheet.text(frame.x + 120 + wide + 8, middle - 3, note, size=8.5, colour=GREY)


def scatter(sheet: Sheet, frame: ChartArea, x: Column, y: Column) -> None:
    """Draw one column over another, a dot for each row (at most 1,500, evenly sampled), and the least-squares line."""
    assert x.numbers is not None
    assert y.numbers is not None
    both = ~(np.isnan(x.numbers) | np.isnan(y.numbers))
    xs, ys = x.numbers[both], y.numbers[both]
    _axes(sheet, frame, x, y)
    at_x, at_y = _placed(xs, frame.x, frame.width), _placed(ys, frame.y, frame.height)
    colour = faded(ACCENT, 0.5)
    for n in _evenly(xs.size, MAX_DOTS):
        sheet.dot(float(at_x[n]), float(at_y[n]), 2.1, colour=colour)
    slope, offset = np.polyfit(at_x, at_y, 1)
    ends = np.array([at_x.min(), at_x.max()])
    heights = np.clip(slope * ends + offset, frame.y, frame.y + frame.height)
    sheet.line(float(ends[0]), float(heights[0]), float(ends[1]), float(heights[1]), colour=INK, weight=0.9)


def matrix(sheet: Sheet, frame: ChartArea, facts: Facts, *, most: int) -> None:
    """Draw Pearson's r of each pair of numeric columns: darker if stronger, outlined if negative."""
    shown = facts.numeric[:most]
    label_width = 120.0
    largest = MAX_CELL_OF_FEW if len(shown) <= FEW else MAX_CELL
    cell = min(largest, (frame.width - label_width) / len(shown), frame.height / len(shown))
    for row, column in enumerate(shown):
        y = frame.y + frame.height - (row + 1) * cell
        for other in range(row):
            _cell(sheet, ChartArea(frame.x + other * cell, y, cell, cell), facts.correlations[row, other])
        # The name on the diagonal is the heading of the column below and the label of the row to its left.
        sheet.text(frame.x + row * cell + 5, y + cell / 2 - 2.6, spoken(column.name), size=8, max_width=label_width)


def spoken(name: str) -> str:
    """Return a column's name with spaces for underscores."""
    return " ".join(name.replace("_", " ").split()) or name


def _ticks(sheet: Sheet, frame: ChartArea, column: Column) -> None:
    values = np.sort(column.present)
    at = _placed(values, frame.x, frame.width)
    sheet.box(frame.x, frame.y, frame.width, frame.height, colour=mixed(PAPER, TINT, 0.28))
    colour = faded(ACCENT, 0.34)
    for n in _evenly(values.size, MAX_TICKS):
        sheet.line(float(at[n]), frame.y, float(at[n]), frame.y + frame.height, colour=colour, weight=1.1)
    middle = float(_placed(np.array([values[0], np.median(values), values[-1]]), frame.x, frame.width)[1])
    sheet.line(middle, frame.y - 1.5, middle, frame.y + frame.height + 1.5, colour=INK, weight=1.1)


def _axes(sheet: Sheet, frame: ChartArea, x: Column, y: Column) -> None:
    sheet.rule(frame.x, frame.y, frame.x + frame.width, colour=FAINT)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        across, up = frame.x + frame.width * share, frame.y + frame.height * share
        if share:
            sheet.rule(frame.x, up, frame.x + frame.width, colour=HAIR, weight=0.4)
        sheet.text(across, frame.y - 12, _at_share(x, share), size=7.5, colour=GREY, align="centre")
        sheet.text(frame.x - 6, up - 2.5, _at_share(y, share), size=7.5, colour=GREY, align="right")
    sheet.text(frame.x + frame.width, frame.y - 25, spoken(x.name), face=STRONG, size=8, align="right")
    sheet.text(frame.x - 28, frame.y + frame.height + 12, spoken(y.name), face=STRONG, size=8)


def _at_share(column: Column, share: float) -> str:
    if share in {0, 1}:
        return column.largest if share else column.least
    low, high = float(column.present.min()), float(column.present.max())
    return column.printed(low * (1 - share) + high * share)


def _cell(sheet: Sheet, frame: ChartArea, r: float) -> None:
    if not np.isfinite(r):
        return
    strength = abs(float(r))
    fill = mixed(PAPER, ACCENT, strength)
    inset = 0.8
    if r >= 0:
        sheet.box(frame.x + inset, frame.y + inset, frame.width - 2 * inset, frame.height - 2 * inset, colour=fill)
    else:
        sheet.canvas.setStrokeColor(fill)
        sheet.canvas.setLineWidth(1.4)
        sheet.canvas.rect(frame.x + 1.7, frame.y + 1.7, frame.width - 3.4, frame.height - 3.4, stroke=1, fill=0)
    ink = PAPER if r >= 0.55 else (INK if strength >= 0.3 else GREY)  # noqa: PLR2004 - readable on its fill
    middle = frame.x + frame.width / 2
    label = printed(float(r), decimals=1)
    sheet.text(middle, frame.y + frame.height / 2 - 2.3, label, face=BODY, size=6.4, colour=ink, align="centre")


def _placed(values: Numbers, start: float, length: float) -> Numbers:
    return start + length * unit(values)


def _evenly(count: int, most: int) -> list[int]:
    return sorted({int(n) for n in np.linspace(0, count - 1, min(count, most))})
