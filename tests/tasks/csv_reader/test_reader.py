"""Reader: the same cells as Python's csv module and polars read."""

import csv
import io
import random
from decimal import Decimal

import polars as pl
import pytest

from resultstore_tasks.csv_reader import chunks
from resultstore_tasks.csv_reader.reader import Caps, Table

FILES = 300
WORDS = (
    "", "a", "NA", "nan", "null", "x y", " lead", "trail ", "Müller, Hans", 'say "no"', '"', '5" pipe', "two\nlines",
    "cr\rhere", "a\r\nb", ";", "|", "\t", "日本", "\ufeff", "0", "01", "-0", "+49", "1e5", "1.50", "2026-01-02", "true",
    "x" * 90, '"quoted"', '""', "'", "#", "sep=;", "\\", "\u2028",
)  # fmt: skip
NUMBERS = ("0", "7", "-12", "1.5", "-0.25", "3e2", "9007199254740993", "9223372036854775807", "9223372036854775808",
           "0.1000000000000000055", "1.000000000000000056e-01", "0.30000000000000004", "12345678901234567.89", "1e400",
           "7.02608E+17", ".5", "2.", "-0", "00", "inf", "NaN")  # fmt: skip


def read(content: bytes, **options) -> tuple[list[str], list[list[str]]]:
    table = Table(io.BytesIO(content), caps=Caps(), **options)
    rows = [row for batch in table.texts() for row in zip(*(one.to_pylist() for one in batch.columns), strict=True)]
    assert len(rows) == table.rows
    return table.names, [["" if cell is None else cell for cell in row] for row in rows]


def some_table(dice: random.Random) -> tuple[bytes, str]:
    """Return a table with a random delimiter, random line ends and random quoting."""
    delimiter = dice.choice(",;\t|")
    columns = dice.randint(2, 6)
    text = io.StringIO(newline="")
    ends, quoting = dice.choice(["\n", "\r\n", "\r"]), dice.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    rows = csv.writer(text, delimiter=delimiter, lineterminator=ends, quoting=quoting)
    # Before 3.13 the writer quotes a single CR or LF only where lines end with it.
    words = [word for word in WORDS if quoting == csv.QUOTE_ALL or not {"\r", "\n"} & set(word)]
    rows.writerow([f"column {n}" for n in range(columns)])
    for _ in range(dice.randint(1, 30)):
        rows.writerow([dice.choice(words) for _ in range(columns)])
    written = text.getvalue()
    return (written if dice.random() < 0.8 else written.rstrip("\r\n")).encode(), delimiter


@pytest.mark.parametrize("block_bytes", [700, 1024 * 1024])
def test_cells_are_those_of_the_csv_module(monkeypatch, block_bytes):
    monkeypatch.setattr(chunks, "BLOCK_BYTES", block_bytes)
    dice = random.Random(block_bytes)

    for _ in range(FILES):
        content, delimiter = some_table(dice)
        names, *rows = csv.reader(io.StringIO(content.decode(), newline=""), delimiter=delimiter, strict=True)
        assert read(content, header="yes") == (names, rows), content


def test_cells_are_those_of_polars():
    dice = random.Random(5)

    for _ in range(FILES):
        content, delimiter = some_table(dice)
        if b"\r" in content.replace(b"\r\n", b""):
            continue  # polars ends no line with CR alone
        frame = pl.read_csv(content, separator=delimiter, infer_schema=False).fill_null("")
        assert read(content, header="yes") == (frame.columns, [list(row) for row in frame.iter_rows()]), content


def test_typed_cells_lose_no_digit():
    dice = random.Random(7)

    for _ in range(FILES):
        some = dice.sample(NUMBERS, k=dice.randint(1, 4))
        cells = [dice.choice(some) for _ in range(20)]
        table = Table(io.BytesIO(b"n,x\n" + "".join(f"{one},0\n" for one in cells).encode()), caps=Caps())
        (batch,) = table.batches()
        for cell, value in zip(cells, batch.column(0).to_pylist(), strict=True):
            assert value == cell or keeps(value, cell), (some, table.schema)


def keeps(value: object, cell: str) -> bool:
    """Return whether a number keeps all digits of its cell."""
    if cell in {"NaN", "inf"}:
        return str(value) == cell.lower()
    digits = len(Decimal(cell).as_tuple().digits)
    return f"{Decimal(value):.{digits - 1}e}" == f"{Decimal(cell):.{digits - 1}e}" and not cell.startswith("00")
