"""Tables: CSV into Parquet, a row group at a time."""

from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from resultstore import Artifact, Store
from resultstore.backends.celery import store_of
from tasks.app import app
from tasks.arguments import checked, file_stem, naming
from tasks.contracts import Report, Sink, silent
from tasks.csv_reader.dialect import Encoding, Header
from tasks.csv_reader.reader import Caps, Table

# Decoded columns gathered for a row group: they and their encoded pages stand in memory together.
ROW_GROUP_BYTES = 16 * 1024 * 1024
CAPS = Caps(bytes=64 * 1024**3)

ColumnType = Literal["string", "int64", "float64", "bool", "date", "timestamp"]


class Written(msgspec.Struct, frozen=True):
    """What stands in the Parquet file."""

    rows: int
    columns: int
    row_groups: int


@app.task(name="tables.convert")
@checked
def convert(
    source: Artifact,
    format: Literal["parquet"] = "parquet",
    types: dict[str, ColumnType] | None = None,
    header: Header = "auto",
    encoding: Encoding = "auto",
) -> Artifact:
    """Convert a CSV table to Parquet (zstd), streaming: memory does not grow with the table.

    Args:
        source: CSV, delimited by comma, semicolon, tab or bar, of up to 10,000 columns and 64 GiB.
        format: `parquet`.
        types: column name to type, where the type that the column's cells show shall not be taken.
        header: whether the first row holds the columns' names; `auto` refuses a table where that is not clear.
        encoding: of the text; `auto` is UTF-8, or else Windows-1252 where it looks like that.

    Returns the Parquet file, with `rows`, `columns` and `row_groups` in its metadata, `read_as` where the text is not
    UTF-8, and `short_rows` where rows had too few cells and were filled up.

    Raises BadInput for what is no table, naming row and column.
    """
    store = store_of(app)

    def report(done: float, total: float, note: str) -> None:
        store.progress(done, total or source.size_bytes, note)

    with naming("table", source), store.open(source) as stream:
        table = Table(stream, caps=CAPS, types=types, header=header, encoding=encoding, report=halved(report))
        return kept_as_parquet(store, source, table, format=format, report=report)


def kept_as_parquet(
    store: Store, source: Artifact, table: Table, *, format: str = "parquet", report: Report = silent
) -> Artifact:
    """Write `table`, which is `source`, into the store as Parquet. Raises BadInput."""
    name = f"{file_stem(source, 'table')}.{format}"
    metadata: dict[str, str | int | float | bool | None] = {"compression": "zstd", **table.notes()}
    with store.writer(name=name, media_type="application/vnd.apache.parquet", metadata=metadata) as sink:
        written = write_parquet(table, sink, report=report)
        # The Artifact takes its metadata when the block ends: the counts are known only now.
        metadata.update(msgspec.structs.asdict(written))
    return sink.artifact


def to_parquet(
    stream: BinaryIO, sink: Sink, *, types: Mapping[str, str] | None = None, report: Report = silent
) -> Written:
    """Write the CSV in `stream` (seekable) to `sink` as Parquet: see `write_parquet`.

    Raises BadInput for what is no table, before anything is written.
    """
    return write_parquet(Table(stream, caps=CAPS, types=types, report=halved(report)), sink, report=report)


def halved(report: Report) -> Report:
    """Return a Report for the first of two passes over a table: half of the work."""
    return lambda done, total, note: report(done / 2, total, note)


def write_parquet(table: Table, sink: Sink, *, report: Report = silent) -> Written:
    """Write `table` to `sink` as Parquet, one row group for each 16 MiB of decoded columns.

    Args:
        table: looked through already.
        sink: is only ever written to, so that it may be a pipe.
        report: told at each row group how many bytes of the text are done; this is the second half of the work.
    """
    rows = groups = 0
    with pq.ParquetWriter(pa.PythonFile(_OneWay(sink.write), mode="w"), table.schema, compression="zstd") as out:
        for group in _row_groups(table):
            out.write_table(group, row_group_size=max(1, group.num_rows))
            rows += group.num_rows
            groups += 1
            report((table.size_bytes + table.read_bytes) / 2, 0, f"{rows:,} rows")
    return Written(rows, len(table.schema.names), groups)


def _row_groups(table: Table) -> Iterator[pa.Table]:
    gathered: list[pa.RecordBatch] = []
    gathered_bytes = 0
    for batch in table.batches():
        gathered.append(batch)
        gathered_bytes += batch.nbytes
        if gathered_bytes >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(gathered)
            gathered, gathered_bytes = [], 0
    if gathered:
        yield pa.Table.from_batches(gathered)


class _OneWay:
    """The file as pyarrow asks for one, that can do nothing but write."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.write = write
        self.closed = False

    def flush(self) -> None:
        """Every write has gone through already."""

    def close(self) -> None:
        """The sink's own block closes it: only there is it known whether the file is whole."""
        self.closed = True
