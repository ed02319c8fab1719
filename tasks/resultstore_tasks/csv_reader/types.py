"""Types of columns: detected from all cells, and used only if no value loses information."""

import re
from enum import StrEnum
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

MISSING: Final = ("NA", "N/A", "n/a", "#N/A", "NULL", "null")
"""Unquoted texts that mean an empty cell in columns of numbers, dates and booleans. In text columns they are text."""


class ColumnKind(StrEnum):
    """Type of all cells of a column."""

    EMPTY = "empty"
    BOOL = "bool"
    INT64 = "int64"
    FLOAT64 = "float64"
    LONG_NUMBER = "long number"
    """Some numbers have more digits than int64 or float64 can hold, such as identifiers: the column stays text."""
    LONG_DECIMAL = "long decimal"
    """Some numbers have more decimals than float64 can hold: the column stays text."""
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMP_UTC = "timestamp in UTC"
    TEXT = "text"


ARROW: Final = {
    ColumnKind.BOOL: pa.bool_(),
    ColumnKind.INT64: pa.int64(),
    ColumnKind.FLOAT64: pa.float64(),
    ColumnKind.DATE: pa.date32(),
    ColumnKind.TIMESTAMP: pa.timestamp("us"),
    ColumnKind.TIMESTAMP_UTC: pa.timestamp("us", "UTC"),
}
"""Arrow type of each kind; all others are strings."""

NUMERIC: Final = frozenset({ColumnKind.INT64, ColumnKind.FLOAT64, ColumnKind.LONG_NUMBER, ColumnKind.LONG_DECIMAL})

# A leading zero or a plus sign is a part of a code, as in "02139" and "+49": that is text. RE2 syntax.
_INTEGER: Final = r"^(?:0|-?[1-9][0-9]*)$"
_NUMBER: Final = (
    r"^-?(?:(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI]nf|INF|[iI]nfinity)$"
    r"|^(?:nan|NaN|NAN)$"
)
_PATTERNS: Final = {
    ColumnKind.BOOL: r"^(?:true|True|TRUE|false|False|FALSE)$",
    ColumnKind.FLOAT64: _NUMBER,
    ColumnKind.DATE: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    ColumnKind.TIMESTAMP: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?$",
    ColumnKind.TIMESTAMP_UTC: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?Z$",
}
_CALENDAR: Final = frozenset({ColumnKind.DATE, ColumnKind.TIMESTAMP, ColumnKind.TIMESTAMP_UTC})
_EXACT_INTEGER: Final = 2**53  # up to here float64 holds every integer
_SAFE_DIGITS: Final = 15  # float64 keeps any decimal of so many significant digits (DBL_DIG in C's float.h)
_MOST_DIGITS: Final = 400
_MANTISSA: Final = re.compile(r"-?([0-9]*)\.?([0-9]*)")


class ColumnTypes:
    """Detects the type of one column, from batches of its cells."""

    def __init__(self) -> None:
        self._open = set(_PATTERNS)
        self._filled = False
        self._whole = self._fits_int64 = self._whole_exact = self._decimals_exact = True

    def add(self, cells: pa.Array) -> None:
        """Take more cells into account (strings, with null for empty ones)."""
        if not self._open:
            return
        given = filled(cells)
        if not len(given):
            return
        self._filled = True
        self._open = {kind for kind in self._open if _all_are(given, kind)}
        if ColumnKind.FLOAT64 in self._open:
            self._add_numbers(given)

    @property
    def kind(self) -> ColumnKind:
        """Type that fits all cells so far."""
        if not self._filled:
            return ColumnKind.EMPTY
        if not self._open:
            return ColumnKind.TEXT
        if ColumnKind.FLOAT64 not in self._open:
            return next(iter(self._open))  # no cell fits two of the patterns
        if self._whole:
            return ColumnKind.INT64 if self._fits_int64 else ColumnKind.LONG_NUMBER
        if not self._whole_exact:
            return ColumnKind.LONG_NUMBER
        return ColumnKind.FLOAT64 if self._decimals_exact else ColumnKind.LONG_DECIMAL

    def _add_numbers(self, given: pa.Array) -> None:
        whole = pc.match_substring_regex(given, _INTEGER)
        others = given.filter(pc.invert(whole))
        if len(others):
            self._whole = False
            self._decimals_exact = self._decimals_exact and _are_exact(others)
        integers = given.filter(whole)
        long = integers.filter(pc.greater(pc.binary_length(integers), _SAFE_DIGITS))
        if not len(long):
            return
        numbers = _cast(long, pa.int64())
        self._fits_int64 = self._fits_int64 and numbers is not None
        self._whole_exact = self._whole_exact and numbers is not None and _below(numbers, _EXACT_INTEGER)


def convert_cells(cells: pa.Array, type: pa.DataType) -> pa.Array:
    """Convert strings to `type`; empty cells and those of `MISSING` become null. Raises pa.ArrowInvalid."""
    if pa.types.is_string(type):
        return cells
    trimmed = pc.ascii_trim_whitespace(cells)
    empty = pc.is_in(trimmed, value_set=pa.array(["", *MISSING]))
    return pc.if_else(empty, pa.scalar(None, pa.string()), trimmed).cast(type)


def filled(cells: pa.Array) -> pa.Array:
    """Return the cells that are not empty, without spaces around them."""
    trimmed = pc.ascii_trim_whitespace(cells.drop_null())
    return trimmed.filter(pc.not_equal(trimmed, ""))


def is_number(cell: str) -> bool:
    """Return whether a cell alone would be detected as a number."""
    return bool(_all_are(pa.array([cell]), ColumnKind.FLOAT64))


def _all_are(given: pa.Array, kind: ColumnKind) -> bool:
    if not pc.all(pc.match_substring_regex(given, _PATTERNS[kind])).as_py():
        return False
    return kind not in _CALENDAR or _cast(given, ARROW[kind]) is not None


def _cast(given: pa.Array, type: pa.DataType) -> pa.Array | None:
    try:
        return given.cast(type)
    except pa.ArrowInvalid:
        return None


def _below(numbers: pa.Array, most: int) -> bool:
    ends = pc.min_max(numbers).as_py()
    return bool(-most <= ends["min"] and ends["max"] <= most)


def _are_exact(given: pa.Array) -> bool:
    """Return whether float64 keeps every digit of these numbers."""
    doubtful = pc.or_(pc.greater(pc.binary_length(given), _SAFE_DIGITS + 1), pc.match_substring_regex(given, "[eEnN]"))
    given = given.filter(doubtful)
    if not len(given):
        return True
    # A number that a program printed in the shortest way is unchanged by the round trip.
    same = pc.equal(given.cast(pa.float64()).cast(pa.string()), given)
    return all(_is_exact(cell) for cell in given.filter(pc.invert(same)).to_pylist())


def _is_exact(cell: str) -> bool:
    number = float(cell)
    mantissa = _MANTISSA.match(cell)
    assert mantissa is not None  # it also matches the empty text
    digits = "".join(mantissa.groups()).lstrip("0")
    if not any(one.isdigit() for one in cell):
        return True  # nan, inf
    if not digits:
        return True
    if number in {0, float("inf"), float("-inf")} or len(digits) > _MOST_DIGITS:
        return False
    if len(digits.rstrip("0")) <= _SAFE_DIGITS:
        return True
    # The converted number with as many digits as the cell has: they are the same if none was lost.
    printed = f"{abs(number):.{len(digits) - 1}e}".partition("e")[0].replace(".", "")
    return printed == digits
