"""Facts of a table for its report, computed before anything is drawn."""

import itertools
from collections import Counter
from decimal import Decimal

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resultstore import BadInput
from resultstore_tasks.csv_reader.reader import Table
from resultstore_tasks.csv_reader.types import ARROW, NUMERIC, ColumnKind, convert_cells

MAX_DECIMALS = 6
MAX_CATEGORIES = 8
MINUS = "\N{MINUS SIGN}"
EMPTY = "\N{EN DASH}"

Numbers = NDArray[np.float64]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column: its name, its cells as printed, and its numbers if it has any.

    Args:
        cells: the text of each row as it is written in the table; `EMPTY` for an empty cell.
        numbers: a float for each row, NaN for an empty cell; None for a text column.
        decimals: number of decimal places of printed numbers.
        empty: number of empty cells.
        least, largest: the cells with the smallest and the largest number, with all their digits.
    """

    name: str
    cells: list[str]
    numbers: Numbers | None
    decimals: int = 0
    empty: int = 0
    least: str = EMPTY
    largest: str = EMPTY

    @property
    def present(self) -> Numbers:
        """Numbers without the empty cells."""
        assert self.numbers is not None
        return self.numbers[~np.isnan(self.numbers)]

    def printed(self, number: float, *, more: int = 0) -> str:
        """Return `number` as text with the column's decimal places, and `more` of them."""
        return printed(number, decimals=min(MAX_DECIMALS, self.decimals + more))


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a table that a report shows.

    Args:
        columns: all columns, in the table's order; `numeric`: those with at least two different numbers.
        rows: number of rows.
        empty_cells: number of empty cells.
        category: the text column with the fewest different values (2 to 8), or None.
        correlations: Pearson's r of each pair of numeric columns, NaN if it is not defined.
        strongest: indexes of the two numeric columns with the largest |r|; None with fewer than two.
        notes: how the text was read, if users should know it: see `Table.notes`.
    """

    columns: list[Column]
    numeric: list[Column]
    rows: int
    empty_cells: int
    category: Column | None
    correlations: Numbers
    strongest: tuple[int, int] | None
    notes: dict[str, str | int]


def gather_facts(table: Table) -> Facts:
    """Compute the facts of a table. Raises BadInput if it has no rows."""
    if table.rows == 0:
        raise BadInput("it has a header and no rows; send it with its rows")
    texts = pa.Table.from_batches(list(table.texts()))
    columns = [
        _column(name, cells.combine_chunks(), kind)
        for name, cells, kind in zip(table.names, texts.columns, table.kinds, strict=True)
    ]
    numeric = [one for one in columns if one.numbers is not None and np.unique(one.present).size > 1]
    correlations = _correlations(numeric)
    return Facts(
        columns=columns,
        numeric=numeric,
        rows=table.rows,
        empty_cells=sum(one.empty for one in columns),
        category=_category(columns),
        correlations=correlations,
        strongest=_strongest(correlations),
        notes=table.notes(),
    )


def unit(values: Numbers) -> Numbers:
    """Scale values to 0 (the smallest) to 1 (the largest); all are 0 if they are equal."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):  # the whole range of float64 is wider than float64
        values, low, high = values / 2, low / 2, high / 2
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def shares(column: Column) -> list[tuple[str, int]]:
    """Return the values of a text column with their numbers of rows, the most frequent first."""
    return Counter(column.cells).most_common()


def percent(count: int, total: int) -> str:
    """Return a share as text, rounded to whole percents; a part is never shown as none or all."""
    rounded = round(100 * count / total)
    if rounded == 0 < count:
        return "under 1 %"
    return "over 99 %" if rounded == 100 and count < total else f"{rounded} %"  # noqa: PLR2004 - percents


def printed(number: float, *, decimals: int) -> str:
    """Return a number as text, with a real minus sign, or a dash for NaN; without grouping, as it may be a year."""
    if not np.isfinite(number):
        return EMPTY if np.isnan(number) else ("∞" if number > 0 else MINUS + "∞")
    size = abs(number)
    if size >= 1e15 or 0 < size < 10**-MAX_DECIMALS:  # noqa: PLR2004 - beyond this float64 has no decimals
        return f"{number:.6g}".replace("-", MINUS)
    return f"{round(number, decimals) + 0.0:.{decimals}f}".replace("-", MINUS)  # + 0.0: no negative zero


def _column(name: str, given: pa.Array, kind: ColumnKind) -> Column:
    cells = [cell or EMPTY for cell in given.to_pylist()]
    if kind not in NUMERIC:
        empty = convert_cells(given, ARROW[kind]).null_count if kind in ARROW else sum(cell == EMPTY for cell in cells)
        return Column(name=name, cells=cells, numbers=None, empty=empty)
    numbers = convert_cells(given, pa.float64())
    values = numbers.to_numpy(zero_copy_only=False).astype(np.float64)
    values = np.where(np.isinf(values), np.nan, values)
    cells = [cell.strip() for cell in cells]
    present = [cell for cell, value in zip(cells, values, strict=True) if not np.isnan(value)]
    return Column(
        name=name,
        cells=cells,
        numbers=values,
        decimals=_decimals(present),
        empty=numbers.null_count,
        least=min(present, key=Decimal, default=EMPTY),
        largest=max(present, key=Decimal, default=EMPTY),
    )


def _decimals(present: list[str]) -> int:
    """Return the most decimal places of these numbers, up to MAX_DECIMALS."""
    if any("e" in cell.lower() for cell in present):
        return MAX_DECIMALS
    return min(MAX_DECIMALS, max((len(cell.partition(".")[2]) for cell in present), default=0))


def _category(columns: list[Column]) -> Column | None:
    texts = [(len(set(one.cells)), one) for one in columns if one.numbers is None]
    few = [(count, one) for count, one in texts if 1 < count <= MAX_CATEGORIES]
    return min(few, key=lambda pair: pair[0])[1] if few else None


def _correlations(numeric: list[Column]) -> Numbers:
    r = np.full((len(numeric), len(numeric)), np.nan)
    for i, j in itertools.product(range(len(numeric)), repeat=2):
        one, other = numeric[i].numbers, numeric[j].numbers
        assert one is not None
        assert other is not None
        both = ~(np.isnan(one) | np.isnan(other))
        if both.sum() < 2:  # noqa: PLR2004 - a pair has no direction
            continue
        x, y = unit(one[both]), unit(other[both])
        if x.std() > 0 and y.std() > 0:
            r[i, j] = np.corrcoef(x, y)[0, 1]
    return r


def _strongest(correlations: Numbers) -> tuple[int, int] | None:
    pairs = [(i, j) for i, j in itertools.combinations(range(len(correlations)), 2) if np.isfinite(correlations[i, j])]
    return max(pairs, key=lambda pair: abs(correlations[pair])) if pairs else None
