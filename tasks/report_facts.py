"""Report_facts: what a report says about a table, worked out before a line is drawn."""

import itertools
from collections import Counter

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resultstore import BadInput

MAX_DECIMALS = 4
MAX_CATEGORIES = 8
MINUS = "\N{MINUS SIGN}"
EMPTY = "\N{EN DASH}"

Numbers = NDArray[np.float64]


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column: its name, its cells as they are printed, and its numbers when it holds any.

    Args:
        cells: one string a row; `EMPTY` for an empty cell.
        numbers: one float a row, NaN for an empty cell; None for a column of text.
        decimals: how many places its numbers are printed with.
    """

    name: str
    cells: list[str]
    numbers: Numbers | None
    decimals: int = 0

    @property
    def present(self) -> Numbers:
        """The numbers without the empty cells."""
        assert self.numbers is not None
        return self.numbers[~np.isnan(self.numbers)]

    def printed(self, number: float, *, more: int = 0) -> str:
        """`number` as this column prints its own, with `more` places."""
        return printed(number, decimals=min(MAX_DECIMALS, self.decimals + more))


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """A table as a report shows it.

    Args:
        columns: all of them, in the table's order; `numeric` those with at least two different numbers.
        rows: how many.
        empty_cells: how many cells hold nothing.
        category: the text column with the fewest different values (2 to 8), if one is so.
        correlations: Pearson's r of each pair of numeric columns, NaN where it is not defined.
        strongest: the two numeric columns with the largest |r|; None with fewer than two.
    """

    columns: list[Column]
    numeric: list[Column]
    rows: int
    empty_cells: int
    category: Column | None
    correlations: Numbers
    strongest: tuple[int, int] | None


def gathered(table: pa.Table) -> Facts:
    """The facts of `table`. Raises BadInput for one without rows."""
    if table.num_rows == 0:
        raise BadInput("it has a header and no rows; send it with its rows")
    columns = [_column(name, table[name]) for name in table.schema.names]
    numeric = [one for one in columns if one.numbers is not None and np.unique(one.present).size > 1]
    correlations = _correlations(numeric)
    return Facts(
        columns=columns,
        numeric=numeric,
        rows=table.num_rows,
        empty_cells=sum(table[name].null_count for name in table.schema.names),
        category=_category(columns),
        correlations=correlations,
        strongest=_strongest(correlations),
    )


def shares(column: Column) -> list[tuple[str, int]]:
    """The values of a column of text and how often each occurs, the most frequent first."""
    return Counter(column.cells).most_common()


def printed(number: float, *, decimals: int) -> str:
    """A number for people: thousands apart, a real minus sign, the dash for none."""
    if not np.isfinite(number):
        return EMPTY if np.isnan(number) else ("∞" if number > 0 else MINUS + "∞")
    size = abs(number)
    if size >= 1e12 or 0 < size < 10**-MAX_DECIMALS:  # noqa: PLR2004 - beyond this no column is wide enough
        return f"{number:.3g}".replace("-", MINUS)
    return f"{round(number, decimals) + 0.0:,.{decimals}f}".replace("-", MINUS)  # + 0.0: no negative nought


def _column(name: str, cells: pa.ChunkedArray) -> Column:
    kind = cells.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = cells.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
        numbers = np.where(np.isinf(numbers), np.nan, numbers)
        decimals = 0 if pa.types.is_integer(kind) else _decimals(numbers)
        return Column(
            name=name, cells=[printed(one, decimals=decimals) for one in numbers], numbers=numbers, decimals=decimals
        )
    return Column(name=name, cells=[EMPTY if cell is None else str(cell) for cell in cells.to_pylist()], numbers=None)


def _decimals(numbers: Numbers) -> int:
    present = numbers[~np.isnan(numbers)]
    for decimals in range(MAX_DECIMALS):
        if np.allclose(np.round(present, decimals), present, rtol=1e-9, atol=1e-9):
            return decimals
    return MAX_DECIMALS


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
        x, y = one[both], other[both]
        if x.size > 1 and x.std() > 0 and y.std() > 0:
            r[i, j] = np.corrcoef(x, y)[0, 1]
    return r


def _strongest(correlations: Numbers) -> tuple[int, int] | None:
    pairs = [(i, j) for i, j in itertools.combinations(range(len(correlations)), 2) if np.isfinite(correlations[i, j])]
    return max(pairs, key=lambda pair: abs(correlations[pair])) if pairs else None
