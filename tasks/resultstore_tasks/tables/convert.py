"""Conversion of CSV to Parquet, a row group at a time."""

from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from resultstore import Artifact, Store
from resultstore_tasks.arguments import file_stem
from resultstore_tasks.contracts import ReportProgress, Sink, silent
from resultstore_tasks.csv_reader.reader import Caps, Table
from resultstore_tasks.tables.offer import MAX_BYTES

# Decoded columns gathered for a row group: memory holds them and their encoded pages at the same time.
ROW_GROUP_BYTES = 16 * 1024 * 1024
CAPS = Caps(bytes=MAX_BYTES)


class Written(msgspec.Struct, frozen=True):
    """Number of rows, columns and row groups in a Parquet file."""

    rows: int
    columns: int
    row_groups: int


def store_as_parquet(
    store: Store, source: Artifact, table: Table, *, format: str = "parquet", report: ReportProgress = silent
) -> Artifact:
    """Store `table`, read from `source`, as a Parquet file. Raises BadInput."""
    name = f"{file_stem(source, 'table')}.{format}"
    metadata: dict[str, str | int | float | bool | None] = {"compression": "zstd", **table.notes()}
    with store.writer(name=name, media_type="application/vnd.apache.parquet", metadata=metadata) as sink:
        written = write_parquet(table, sink, report=report)
        # The Artifact reads its metadata at the end of the block: the counts are known only now.
        metadata.update(msgspec.structs.asdict(written))
    return sink.artifact


def to_parquet(
    stream: BinaryIO, sink: Sink, *, types: Mapping[str, str] | None = None, report: ReportProgress = silent
) -> Written:
    """Write the CSV in `stream` (seekable) to `sink` as Parquet: see `write_parquet`.

    Raises BadInput for what is no table, before anything is written.
    """
    return write_parquet(Table(stream, caps=CAPS, types=types, report=first_half(report)), sink, report=report)


def first_half(report: ReportProgress) -> ReportProgress:
    """Return a ReportProgress for the first of two passes over a table: half of the work."""
    return lambda done, total, note: report(done / 2, total, note)


def write_parquet(table: Table, sink: Sink, *, report: ReportProgress = silent) -> Written:
    """Write `table` to `sink` as Parquet, one row group for each 16 MiB of decoded columns.

    Args:
        table: scanned already; this is the second pass.
        sink: only written to, so that it may be a pipe.
        report: receives at each row group how many bytes of the text are done, as the second half of the work.
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
    """Write-only file object for pyarrow."""

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.write = write
        self.closed = False

    def flush(self) -> None:
        """Do nothing: every write has gone through already."""

    def close(self) -> None:
        """Leave the sink open: its own `with` block closes it, which knows whether the file is whole."""
        self.closed = True
