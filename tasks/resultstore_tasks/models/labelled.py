"""Examples for a classifier from a table: numbers, and a class for each row."""

from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from resultstore import BadInput
from resultstore_tasks.csv_reader.reader import Table, listed
from resultstore_tasks.csv_reader.types import ARROW, ColumnKind, convert_cells

MAX_CLASSES: Final = 100
MAX_LABEL_CHARS: Final = 200
MAX_SCORES: Final = 10_000_000
"""Limit of rows times classes: a model computes a score for each, in several arrays of float64."""
MAX_MAGNITUDE: Final = 1e100
"""Limit of a number: the scaler's sum of squares must not exceed the largest float64, 1.8e308."""
NUMBERS: Final = frozenset(
    {
        ColumnKind.BOOL,
        ColumnKind.INT64,
        ColumnKind.FLOAT64,
        ColumnKind.LONG_DECIMAL,
        ColumnKind.EMPTY,  # refused for its empty cells
    }
)
_EXACT_INTEGER: Final = 2**53  # up to here float64 holds every integer


class Examples(msgspec.Struct, frozen=True):
    """Training data from a table.

    Args:
        features: names of the columns.
        values: float64 array of shape (rows, features).
        labels: int64 array of shape (rows,) with the number of each row's class.
        classes: sorted names of the classes.
    """

    features: list[str]
    values: NDArray[np.float64]
    labels: NDArray[np.int64]
    classes: list[str]


def examples_of(table: Table, target: str) -> Examples:
    """Return features and labels of a table, whose column `target` holds the classes.

    Raises BadInput if a model cannot be trained on them.
    """
    if target not in table.names:
        raise BadInput(f"it has no column {target!r} to predict; its columns are: {listed(table.names)}")
    if table.rows == 0:
        raise BadInput("it has a header and no rows; send it with its rows")
    _check_features(table, target)
    features = [name for name in table.names if name != target]
    values = np.empty((table.rows, len(features)), np.float64)
    labels = np.empty(table.rows, np.int64)
    names: dict[str, int] = {}
    done = 0
    for batch in table.texts():
        rows = slice(done, done + batch.num_rows)
        for n, name in enumerate(features):
            values[rows, n] = _numbers(batch.column(name), name, table.kinds[table.names.index(name)])
        labels[rows] = _labels(batch.column(target), target, table.kinds[table.names.index(target)], names)
        done += batch.num_rows
    classes, labels = _sorted(names, labels)
    _check_labels(classes, labels, target)
    return Examples(features, values, labels, classes)


def _check_features(table: Table, target: str) -> None:
    if len(table.names) == 1:
        raise BadInput(f"it has no column but {target!r}; send its features too")
    for name, kind in zip(table.names, table.kinds, strict=True):
        if name == target:
            continue
        if kind is ColumnKind.LONG_NUMBER:
            raise BadInput(f"the column {name!r} holds integers that float64 cannot distinguish; leave it out")
        if kind not in NUMBERS:
            raise BadInput(f"the column {name!r} holds {kind}, not numbers; encode it or leave it out")


def _numbers(texts: pa.Array, name: str, kind: ColumnKind) -> NDArray[np.float64]:
    cells = (
        convert_cells(texts, pa.bool_()).cast(pa.int8())
        if kind is ColumnKind.BOOL
        else convert_cells(texts, pa.float64())
    )
    if cells.null_count:
        raise BadInput(f"the column {name!r} has empty cells; fill or drop those rows")
    numbers: NDArray[np.float64] = cells.to_numpy(zero_copy_only=False).astype(np.float64)
    if not np.isfinite(numbers).all():
        raise BadInput(f"the column {name!r} has a NaN or an infinity; fill or drop those rows")
    if np.abs(numbers).max(initial=0) > MAX_MAGNITUDE:
        raise BadInput(f"the column {name!r} has numbers over {MAX_MAGNITUDE:.0e}, too large to fit; scale it")
    if kind is ColumnKind.INT64 and np.abs(numbers).max() > _EXACT_INTEGER:
        raise BadInput(f"the column {name!r} holds integers that float64 cannot distinguish; leave it out")
    return numbers


def _labels(texts: pa.Array, target: str, kind: ColumnKind, names: dict[str, int]) -> list[int]:
    """Return the number of each label. `names` maps labels to numbers and receives new ones."""
    cells = convert_cells(texts, ARROW[kind]) if kind in ARROW else texts
    found: list[int] = []
    for cell in cells.to_pylist():
        if cell is None or cell == "":
            raise BadInput(f"the column {target!r} has empty cells; fill or drop those rows")
        label = str(cell)
        if len(label) > MAX_LABEL_CHARS:
            raise BadInput(f"the column {target!r} has a label of more than {MAX_LABEL_CHARS} characters; shorten it")
        found.append(names.setdefault(label, len(names)))
        if len(names) > MAX_CLASSES:
            raise BadInput(
                f"the column {target!r} has more than {MAX_CLASSES} different values; a classifier takes 2 to "
                f"{MAX_CLASSES}: name a column of classes"
            )
    return found


def _sorted(names: dict[str, int], labels: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the sorted class names, and the labels as positions in them."""
    classes = sorted(names)
    places = np.empty(len(classes), np.int64)
    places[[names[name] for name in classes]] = np.arange(len(classes))
    return classes, places[labels]


def _check_labels(classes: list[str], labels: NDArray[np.int64], target: str) -> None:
    if len(classes) < 2:  # noqa: PLR2004 - a classifier needs two classes
        raise BadInput(
            f"the column {target!r} has {len(classes)} different values; a classifier takes 2 to {MAX_CLASSES}:"
            " name a column of classes"
        )
    if len(labels) * len(classes) > MAX_SCORES:
        raise BadInput(
            f"it has {len(labels):,} rows of {len(classes)} classes, over the cap of {MAX_SCORES:,} rows times classes;"
            " send fewer rows"
        )
    counts = np.bincount(labels)
    if counts.min() < 4:  # noqa: PLR2004 - three for two folds of training, one for the test
        rare = classes[int(counts.argmin())][:40]
        raise BadInput(f"the class {rare!r} of {target!r} has {counts.min()} rows; give each class 4 at least")
