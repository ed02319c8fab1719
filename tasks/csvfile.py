"""Csvfile: reads delimited text into Arrow, block by block, and refuses what is no table."""

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.csv as pc

from resultstore import BadInput

DELIMITERS = (",", ";", "\t", "|")
"""The first line's most frequent one is taken; a comma when it has none."""

TYPES: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}

_HEAD_BYTES = 64 * 1024
_NOT_TEXT = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"PAR1": "a Parquet file already",
    b"\x1f\x8b": "compressed by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_AS_CSV = "send CSV in UTF-8 with a header row"

# What pyarrow says (cpp/src/arrow/csv/{parser,reader,converter}.cc), and what we say instead.
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_UNFIT = re.compile(r"In CSV column #(\d+): Row #(\d+): CSV conversion error to ([^:]+): (.*)", re.DOTALL)


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a table a task takes; None where there is no limit."""

    bytes: int | None = None
    rows: int | None = None
    columns: int = 10_000


class Table:
    """A CSV table as a stream of Arrow batches, with the schema that its first block shows.

    Args:
        stream: seekable, read from its beginning.
        caps: BadInput is raised where the table passes one.
        block_size_bytes: how much text is parsed at a time; types are inferred from the first block alone.
        types: column name to a key of `TYPES`, where the inferred type shall not be taken.

    Every method raises BadInput, naming row and column and the remedy; what the stream raises passes through.
    """

    def __init__(
        self, stream: BinaryIO, *, caps: Caps, block_size_bytes: int, types: Mapping[str, str] | None = None
    ) -> None:
        self._source = _Metered(stream, caps.bytes)
        self._caps = caps
        self._block_size_bytes = block_size_bytes
        self._delimiter = _delimiter(self._source.head())
        wanted = {name: TYPES[kind] for name, kind in (types or {}).items()}
        self._names: list[str] = []
        self._reader = self._opened(wanted)
        self._check_columns(wanted)
        blank = {field.name: pa.string() for field in self.schema if pa.types.is_null(field.type)}
        if blank:
            # Empty so far says nothing about what comes: as a string it takes whatever does.
            self._reader = self._opened({**wanted, **blank})

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._reader.schema

    @property
    def read_bytes(self) -> int:
        """How much of the text has been taken from the stream so far."""
        return self._source.read_bytes

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, a block at a time, each block freed before the next is parsed."""
        rows = 0
        while True:
            try:
                batch = self._reader.read_next_batch()
            except StopIteration:
                return
            except (pa.ArrowInvalid, UnicodeDecodeError) as error:
                raise BadInput(_said(str(error), self._names)) from error
            rows += batch.num_rows
            if self._caps.rows is not None and rows > self._caps.rows:
                raise BadInput(f"it has more than {self._caps.rows:,} rows, the cap of this task; send fewer")
            yield batch

    def whole(self) -> pa.Table:
        """All rows at once, within the caps. Raises BadInput for a table without rows."""
        table = pa.Table.from_batches(list(self.batches()), schema=self.schema)
        if table.num_rows == 0:
            raise BadInput("it has a header and no rows; send it with its rows")
        return table

    def _opened(self, types: Mapping[str, pa.DataType]) -> pc.CSVStreamingReader:
        self._source.rewind()
        try:
            reader = pc.open_csv(
                pa.PythonFile(self._source, mode="r"),
                # One thread: with more, pyarrow cannot say in which row an error is.
                pc.ReadOptions(use_threads=False, block_size=self._block_size_bytes),
                pc.ParseOptions(delimiter=self._delimiter, newlines_in_values=True),
                pc.ConvertOptions(column_types=dict(types), strings_can_be_null=True),
            )
            self._names = reader.schema.names
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise BadInput(_said(str(error), [])) from error
        return reader

    def _check_columns(self, wanted: Mapping[str, pa.DataType]) -> None:
        names = self._names
        if len(names) > self._caps.columns:
            raise BadInput(f"it has {len(names):,} columns, over the cap of {self._caps.columns:,}; send fewer")
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise BadInput(f"the column {twice[0]!r} stands more than once in the header; rename one")
        bytes_only = [field.name for field in self.schema if pa.types.is_binary(field.type)]
        if bytes_only:  # what pyarrow infers for text that is not UTF-8
            raise BadInput(f"the column {bytes_only[0]!r} is not UTF-8; save the table as UTF-8")
        unknown = [name for name in wanted if name not in names]
        if unknown:
            raise BadInput(f"types names the column {unknown[0]!r}, which is not there; there are: {listed(names)}")


class _Metered:
    """The text as pyarrow reads it: counted, capped, and refused when it is not text."""

    def __init__(self, stream: BinaryIO, max_bytes: int | None) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self.read_bytes = 0
        self.closed = False

    def head(self) -> bytes:
        """The beginning of the text. Raises BadInput when it is empty, no text, or over the cap."""
        if self._max_bytes is not None and self._stream.seek(0, io.SEEK_END) > self._max_bytes:
            raise BadInput(f"it is over the cap of {self._max_bytes:,} bytes of this task; send a smaller table")
        self.rewind()
        head = self._stream.read(_HEAD_BYTES)
        if not head.strip():
            raise BadInput(f"it is empty; {_AS_CSV}")
        kind = next((kind for magic, kind in _NOT_TEXT.items() if head.startswith(magic)), None)
        if kind is not None:
            raise BadInput(f"it is {kind}, not CSV; {_AS_CSV}")
        _refuse_nul(head)
        return head

    def rewind(self) -> None:
        self._stream.seek(0)
        self.read_bytes = 0

    def read(self, size_bytes: int = -1) -> bytes:
        chunk = self._filled(size_bytes)
        self.read_bytes += len(chunk)
        _refuse_nul(chunk)
        return chunk

    def _filled(self, size_bytes: int) -> bytes:
        # A raw stream may give less than was asked for; pyarrow would take that for a block.
        pieces: list[bytes] = []
        missing_bytes = size_bytes
        while missing_bytes != 0 and (piece := self._stream.read(missing_bytes)):
            pieces.append(piece)
            missing_bytes -= len(piece)
        return b"".join(pieces)


def listed(names: list[str], *, most: int = 12) -> str:
    """Names for a message: not more than `most` of them, each cut short."""
    shown = ", ".join(name[:40] for name in names[:most])
    return f"{shown} ... ({len(names)} in all)" if len(names) > most else shown


def _refuse_nul(chunk: bytes) -> None:
    if b"\0" in chunk:
        raise BadInput(f"it holds NUL bytes: it is binary, not CSV; {_AS_CSV}")


def _delimiter(head: bytes) -> str:
    first_line = head.decode("utf-8", errors="replace").lstrip("\ufeff").strip().partition("\n")[0]
    return max(DELIMITERS, key=first_line.count)


def _said(error: str, names: list[str]) -> str:
    if ragged := _RAGGED.search(error):
        row, expected, got = ragged.groups()
        return f"row {row} has {got} columns, the header {expected} (it is row 1); quote or mend that row"
    if unfit := _UNFIT.search(error):
        column, row, kind, why = unfit.groups()
        name = names[int(column)] if int(column) < len(names) else f"number {int(column) + 1}"
        if "UTF8" in why:
            return f"row {row}, column {name!r} is not UTF-8; save the table as UTF-8"
        return (
            f"row {row}, column {name!r}: {' '.join(why.split())[:120]}, though the first rows are {kind};"
            f" mend that row, or ask for text with types={{{name!r}: 'string'}}"
        )
    if "utf-8" in error:
        return "its header is not UTF-8; save the table as UTF-8"
    if "straddling" in error:
        return "a row is longer than a block: a quote is not closed, or it is no table; close it"
    return f"it is no table ({' '.join(error.split())[:120]}); {_AS_CSV}"
