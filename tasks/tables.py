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
from tasks.csvfile import Caps, Table

# Text parsed at a time. pyarrow's reader thread runs up to 32 blocks ahead (kDefaultBackgroundMaxQ in
# cpp/src/arrow/util/async_generator.h): a table of 200 MB takes +240 MiB with 8 MiB, +105 MiB with this.
BLOCK_SIZE_BYTES = 1024 * 1024
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
    source: Artifact, format: Literal["parquet"] = "parquet", types: dict[str, ColumnType] | None = None
) -> Artifact:
    """Convert a CSV table to Parquet (zstd), streaming: memory does not grow with the table.

    Args:
        source: CSV in UTF-8 with a header row; delimited by comma, semicolon, tab or bar.
        format: `parquet`.
        types: column name to type, where the type that the first MiB shows shall not be taken.

    Returns the Parquet file, with `rows`, `columns` and `row_groups` in its metadata.

    Raises BadInput for what is no table, naming row and column.
    """
    store = store_of(app)
    with naming("table", source), store.open(source) as stream:
        return kept_as_parquet(store, source, stream, types=types or {}, format=format)


def kept_as_parquet(
    store: Store, source: Artifact, stream: BinaryIO, *, types: Mapping[str, str], format: str = "parquet"
) -> Artifact:
    """The CSV in `stream`, which is `source`, as a Parquet file in the store. Raises BadInput for what is no table."""
    name = f"{file_stem(source, 'table')}.{format}"

    def report(done: float, total: float, note: str) -> None:
        store.progress(done, total or source.size_bytes, note)

    metadata: dict[str, str | int | float | bool | None] = {"compression": "zstd"}
    with store.writer(name=name, media_type="application/vnd.apache.parquet", metadata=metadata) as sink:
        written = to_parquet(stream, sink, types=types, report=report)
        # The Artifact takes its metadata when the block ends: the counts are known only now.
        metadata.update(msgspec.structs.asdict(written))
    return sink.artifact


def to_parquet(
    stream: BinaryIO, sink: Sink, *, types: Mapping[str, str] | None = None, report: Report = silent
) -> Written:
    """Write the CSV in `stream` to `sink` as Parquet, one row group for each 16 MiB of decoded columns.

    Args:
        stream: seekable, read from its beginning.
        sink: is only ever written to, so that it may be a pipe.
        types: column name to a key of `csvfile.TYPES`.
        report: told the bytes read so far, at each row group.

    Raises BadInput for what is no table; `sink` then holds no valid file.
    """
    table = Table(stream, caps=CAPS, block_size_bytes=BLOCK_SIZE_BYTES, types=types)
    rows = groups = 0
    with pq.ParquetWriter(pa.PythonFile(_OneWay(sink.write), mode="w"), table.schema, compression="zstd") as out:
        for group in _row_groups(table):
            out.write_table(group, row_group_size=max(1, group.num_rows))
            rows += group.num_rows
            groups += 1
            report(table.read_bytes, 0, f"{rows:,} rows")
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
