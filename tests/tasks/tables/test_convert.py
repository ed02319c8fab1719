"""Conversion: CSV becomes Parquet, or is refused with row and column."""

import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resultstore import BadInput, BlobStoreUnavailable
from resultstore_tasks.csv_reader import chunks, dialect
from resultstore_tasks.tables import convert as tables


class Pipe:
    """Something that can only be written to."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self.pieces.append(bytes(data))
        return len(data)


class Drip(io.BytesIO):
    """A stream that gives less than it is asked for, and less than a row, as a raw one may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size, 10) if size and size > 0 else size)


def converted(content: bytes, **options: object) -> pa.Table:
    sink = Pipe()
    tables.to_parquet(Drip(content), sink, **options)
    return pq.read_table(io.BytesIO(b"".join(sink.pieces)))


def test_every_cell_of_a_real_table_arrives(wine):
    table = converted(wine)

    lines = [line.split(",") for line in wine.decode().splitlines()]
    assert table.schema.names == lines[0]
    for n, name in enumerate(table.schema.names):
        kind = str if pa.types.is_string(table.schema.field(name).type) else float
        assert table[name].to_pylist() == [kind(line[n]) for line in lines[1:]]


def test_row_groups_are_reported_in_bytes(monkeypatch):
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 10_000)
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", 30_000)
    content = b"n,word\n" + b"".join(b"%d,w%d\n" % (n, n) for n in range(10_000))
    told: list[float] = []
    sink = Pipe()

    written = tables.to_parquet(Drip(content), sink, report=lambda done, _total, _note: told.append(done))

    parquet = pq.ParquetFile(io.BytesIO(b"".join(sink.pieces)))
    assert (written.rows, written.columns) == (10_000, 2)
    assert parquet.num_row_groups == written.row_groups == len(told)
    assert 3 <= written.row_groups <= 8
    assert told == sorted(told)
    assert told[-1] == len(content)


@pytest.mark.parametrize("delimiter", dialect.DELIMITERS)
def test_the_delimiter_is_found(delimiter):
    assert converted(f"a{delimiter}b\n1{delimiter}x\n".encode()).to_pydict() == {"a": [1], "b": ["x"]}


def test_byte_order_mark_quotes_and_newlines_are_read():
    assert converted('\ufeffa,b\r\n1,"x,\n""y"""\r\n'.encode()).to_pydict() == {"a": [1], "b": ['x,\n"y"']}


def test_column_empty_at_first_accepts_any_type(monkeypatch):
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 200)
    content = b"n,note\n" + b"1,\n" * 200 + b"2,late\n"

    assert converted(content)["note"].to_pylist()[-1] == "late"


def test_a_type_is_one_that_fits_every_row(monkeypatch):
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 200)
    content = b"n,zip,v\n" + b"1,10115,5\n" * 200 + b"2,SW1A,1.5\n"

    table = converted(content)

    assert table["zip"].to_pylist()[-2:] == ["10115", "SW1A"]
    assert table["v"].to_pylist()[-2:] == [5.0, 1.5]


def test_cell_of_wrong_type_is_named():
    content = b"n,zip\n" + b"1,10115\n" * 200 + b"2,SW1A\n"

    with pytest.raises(BadInput, match=r"row 202, column 'zip': 'SW1A' is no int64; .*types=\{'zip': 'string'\}"):
        converted(content, types={"zip": "int64"})


BODY = b"a,b\n" + b"1,2\n" * 500


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty; send CSV with a header row"),
        (b" \n\n ", "it is empty"),
        (os.urandom(5000) + b"\0", "it holds NUL bytes: it is binary"),
        (BODY + b"3,\0\n", "it holds NUL bytes"),
        (b"PK\x03\x04" + b"x" * 50, "a ZIP archive or a spreadsheet"),
        (b"PAR1" + b"x" * 50, "a Parquet file already"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (BODY + b"1,2,3\n", "row 502 has 3 columns, row 1 has 2"),
        (BODY + b"1,\x8fx\n", "row 502 is not UTF-8; name its encoding"),
        ("a,b\n1,Привет мир\n".encode("windows-1251"), "row 2 is not UTF-8; name its encoding"),
        (BODY + '1,"é"\n2,é\n'.encode() + b"3,\xe9t\xe9\n", "row 504 is not UTF-8"),
        (BODY + b'1,"2"3\n', "row 502: text follows a closing quote"),
        (BODY + b"1,2\r3,4\n", "row 502 ends with a carriage return or line feed alone"),
        (b"5.1,3.5,Iris-setosa\n4.9,3.0,Iris-setosa\n", r"may hold values, not names \(5.1, 3.5\): pass header='no'"),
        (b",".join(b"c%d" % n for n in range(100)) + b"\n" + b"1\n" * 11_000, "too many rows are shorter than row 1"),
        (b"a,b,a\n1,2,3\n", "the header has the column 'a' more than once"),
        (b",".join(b"c%d" % n for n in range(10_001)) + b"\n", "10,001 columns, over the cap of 10,000"),
    ],
)
def test_invalid_table_is_refused_with_the_reason(content, reason):
    with pytest.raises(BadInput, match=reason):
        converted(content)


def test_unclosed_quote_is_refused(monkeypatch):
    monkeypatch.setattr(chunks, "BLOCK_BYTES", 4096)

    with pytest.raises(BadInput, match="a quote is not closed"):
        converted(BODY + b'1,"2\n' + BODY * 10)


def test_type_of_missing_column_is_refused():
    with pytest.raises(BadInput, match="'c', which does not exist; there are: a, b"):
        converted(BODY, types={"c": "string"})


def test_store_error_is_not_a_damaged_table():
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 1000:
                raise BlobStoreUnavailable("the store went away")
            return super().read(min(size or 0, 500))

    with pytest.raises(BlobStoreUnavailable, match="went away"):
        tables.to_parquet(Failing(BODY * 3), Pipe())


def test_large_table_needs_memory_of_few_blocks(measured, tmp_path):
    block = "".join(f"{n},{n * 0.37:.4f},name {n % 977},2026-0{n % 9 + 1}-1{n % 9}\n" for n in range(100_000))
    path = tmp_path / "large.csv"
    with path.open("w") as out:
        out.write("id,value,name,day\n")
        while out.tell() < 200_000_000:
            out.write(block)

    imports = """
import io
from pathlib import Path
from resultstore_tasks.tables import convert as tables
class Nowhere:
    def write(self, data):
        return len(data)
tables.to_parquet(io.BytesIO(b"a\\n1\\n"), Nowhere())
"""
    spent = measured(
        imports, f"with Path({str(path)!r}).open('rb') as stream: said = tables.to_parquet(stream, Nowhere()).rows"
    )

    assert spent["said"] % 100_000 == 0
    assert spent["said"] > 5_000_000
    assert spent["growth_mib"] < 150
