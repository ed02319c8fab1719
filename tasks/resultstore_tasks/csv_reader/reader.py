"""Table: a delimited text that is read into Arrow, or refused if its values are ambiguous."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

import msgspec
import pyarrow as pa
import pyarrow.csv as pc

from resultstore import BadInput
from resultstore_tasks.contracts import ReportProgress, silent
from resultstore_tasks.csv_reader.chunks import Chunk, Chunks, NotInEncoding
from resultstore_tasks.csv_reader.dialect import AS_CSV, FALLBACK, Dialect, Header, looks_western, read_dialect
from resultstore_tasks.csv_reader.types import (
    ARROW,
    MISSING,
    NUMERIC,
    ColumnKind,
    ColumnTypes,
    convert_cells,
    is_number,
)

TYPES: Final[Mapping[str, ColumnKind]] = {
    "string": ColumnKind.TEXT,
    "int64": ColumnKind.INT64,
    "float64": ColumnKind.FLOAT64,
    "bool": ColumnKind.BOOL,
    "date": ColumnKind.DATE,
    "timestamp": ColumnKind.TIMESTAMP,
}

_REPORTED_BYTES: Final = 16 * 1024 * 1024


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """Size limits of a table; None for no limit."""

    bytes: int | None = None
    rows: int | None = None
    columns: int = 10_000
    cells: int | None = None


class Table:
    """A CSV table whose schema fits every row: creating it reads the whole table once.

    Args:
        stream: the table; must be seekable. Each call of `batches` or `texts` reads it again.
        caps: size limits. BadInput is raised before the text over a limit is parsed.
        types: column name to a key of `TYPES`, for columns whose type is not to be detected.
        header: whether the first row holds names. Without names the columns are `column_1`, `column_2`, ...
        encoding: one of `dialect.Encoding`.
        named: names of columns that the caller needs; if the first row holds one, it is a row of names.
        report: receives the number of bytes that were scanned, every 16 MiB.

    A column has another type than string only if all its cells have it without loss. A leading zero, a plus sign or
    an integer over int64 make it a string. Empty cells are null; in columns that are not strings, so are unquoted
    cells of `MISSING`. Rows that are too short are padded with empty cells.

    Raises BadInput, which names row or column and what to do. Errors of the stream are not translated.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        caps: Caps,
        types: Mapping[str, str] | None = None,
        header: Header = "auto",
        encoding: str = "auto",
        named: tuple[str, ...] = (),
        report: ReportProgress = silent,
    ) -> None:
        self._stream, self._caps, self._report = stream, caps, report
        self._wanted = {name: TYPES[kind] for name, kind in (types or {}).items()}
        self._named = {*named, *self._wanted}
        self._header = header
        self.rows = 0
        self.size_bytes = stream.seek(0, io.SEEK_END)
        dialect = read_dialect(stream, encoding=encoding, max_bytes=caps.bytes)
        self._chunks = Chunks(stream, dialect)
        try:
            self._scan()
        except NotInEncoding as found:
            self._guess(dialect, found, given=encoding)

    @property
    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns."""
        return pa.schema(
            [(name, ARROW.get(kind, pa.string())) for name, kind in zip(self.names, self.kinds, strict=True)]
        )

    @property
    def read_bytes(self) -> int:
        """Number of bytes that this pass has read from the stream."""
        return self._chunks.read_bytes

    @property
    def short_rows(self) -> int:
        """Number of rows that were padded."""
        return self._chunks.short_rows

    def notes(self) -> dict[str, str | int]:
        """Return what users should know of the reading: the encoding if it is not UTF-8, and padded rows."""
        notes: dict[str, str | int] = {}
        if self.encoding != "utf-8":
            notes["read_as"] = self.encoding
        if self.short_rows:
            notes["short_rows"] = self.short_rows
        return notes

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows with the types of `schema`, a batch at a time."""
        for texts in self.texts():
            columns = [
                convert_cells(column, field.type) for column, field in zip(texts.columns, self.schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def texts(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows as strings, as they are written in the table, a batch at a time."""
        for chunk in self._chunks.read(columns=len(self.names), with_first=not self._has_names):
            yield self._parsed(chunk.text, empty=("",)).rename_columns(self.names)

    def _guess(self, dialect: Dialect, found: NotInEncoding, *, given: str) -> None:
        """Scan the table again as Windows-1252, if no encoding was given and the text may be that."""
        if given != "auto":
            raise BadInput(f"row {found.row} is not in {given}; name the table's encoding, or save it as UTF-8")
        other = "name its encoding, or save the table as UTF-8"
        if not looks_western(found.sample):
            raise BadInput(f"row {found.row} is not UTF-8; {other}")
        # There is no UTF-8 byte order mark, and the delimiter is ASCII: `skipped_bytes` stays valid.
        guess = msgspec.structs.replace(dialect, encoding=FALLBACK)
        self._chunks = Chunks(self._stream, guess, guessed=True)
        try:
            self._scan()
        except NotInEncoding as again:
            raise BadInput(f"row {again.row} is neither UTF-8 nor Windows-1252; {other}") from None

    def _scan(self) -> None:
        """Read the whole table once: check its rows and limits, and detect the types of its columns."""
        first = self._chunks.first_row()
        if not first:
            raise BadInput(f"it is empty; {AS_CSV}")
        columns = self._chunks.cells_of(first)
        if columns > self._caps.columns:
            raise BadInput(f"it has {columns:,} columns, over the cap of {self._caps.columns:,}; send fewer")
        top = [cell or "" for cell in self._row(first, columns)]
        self._has_names = self._header != "no"
        self.names = top if self._has_names else [f"column_{n + 1}" for n in range(columns)]
        self._check_names()
        types = [ColumnTypes() for _ in top]
        self.rows = 0
        reported = 0
        for chunk in self._chunks.read(columns=columns, with_first=not self._has_names):
            self.rows += chunk.rows
            self._check_size(columns)
            self._add(chunk, types)
            if self.read_bytes - reported >= _REPORTED_BYTES:
                reported = self.read_bytes
                self._report(reported, 0, "reading the table")
        kinds = [one.kind for one in types]
        self.kinds = [self._wanted.get(name, kind) for name, kind in zip(self.names, kinds, strict=True)]
        if self._header == "auto" and not self._named & set(top):
            _refuse_values(top, kinds, rows=self.rows)

    def _add(self, chunk: Chunk, types: list[ColumnTypes]) -> None:
        batch = self._parsed(chunk.text, empty=("", *MISSING))
        for name, cells, known in zip(self.names, batch.columns, types, strict=True):
            known.add(cells)
            if name in self._wanted:
                _check_fits(cells, name, self._wanted[name], chunk.first_row)

    def _check_names(self) -> None:
        twice = [name for name, times in Counter(self.names).items() if times > 1]
        if twice:
            raise BadInput(
                f"the header has the column {twice[0]!r} more than once; rename one, or pass header='no' if the "
                "first row holds values"
            )
        unknown = [name for name in self._wanted if name not in self.names]
        if unknown:
            raise BadInput(
                f"types names the column {unknown[0]!r}, which does not exist; there are: {listed(self.names)}"
            )

    def _check_size(self, columns: int) -> None:
        if self._caps.rows is not None and self.rows > self._caps.rows:
            raise BadInput(f"it has more than {self._caps.rows:,} rows, the cap of this task; send fewer")
        if self._caps.cells is not None and self.rows * columns > self._caps.cells:
            raise BadInput(
                f"it has more than {self._caps.cells:,} cells, the cap of this task; send fewer rows or columns"
            )

    def _row(self, text: bytes, columns: int) -> list[str | None]:
        batch = self._parsed(text, empty=("",), columns=columns)
        return [column[0].as_py() for column in batch.columns]

    def _parsed(self, text: bytes, *, empty: tuple[str, ...], columns: int | None = None) -> pa.RecordBatch:
        """Split checked rows into cells as strings. Unquoted cells that are in `empty` become null."""
        names = [str(n) for n in range(columns or len(self.names))]
        # pyarrow drops a byte order mark from each text, but here it would be part of a cell.
        marked = text.startswith(b"\xef\xbb\xbf")
        table = pc.read_csv(
            pa.BufferReader(b"\n" + text if marked else text),
            pc.ReadOptions(
                use_threads=False, block_size=len(text) + 2, column_names=names, skip_rows=1 if marked else 0
            ),
            pc.ParseOptions(delimiter=self._chunks.dialect.delimiter, newlines_in_values=True),
            pc.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=list(empty),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
        return table.combine_chunks().to_batches()[0]

    @property
    def encoding(self) -> str:
        """Python's name of the text's encoding."""
        return self._chunks.dialect.encoding


def listed(names: list[str], *, most: int = 12) -> str:
    """Return at most `most` names for a message, each cut to 40 characters and without line breaks."""
    shown = ", ".join(_printable(name[:40]) for name in names[:most])
    return f"{shown} ... ({len(names)} in all)" if len(names) > most else shown


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)[1:-1]


def _check_fits(cells: pa.Array, name: str, kind: ColumnKind, first_row: int) -> None:
    type_ = ARROW.get(kind, pa.string())
    try:
        convert_cells(cells, type_)
    except pa.ArrowInvalid:
        row, cell = next((n, one) for n, one in enumerate(cells) if not _fits(one, type_))
        shown = cell.as_py()[:60]
        raise BadInput(
            f"row {first_row + row}, column {name!r}: {shown!r} is no {type_}; correct that row, or read text with "
            f"types={{{name!r}: 'string'}}"
        ) from None


def _fits(cell: pa.StringScalar, type: pa.DataType) -> bool:
    try:
        convert_cells(pa.array([cell.as_py()], pa.string()), type)
    except pa.ArrowInvalid:
        return False
    return True


def _refuse_values(top: list[str], kinds: list[ColumnKind], *, rows: int) -> None:
    """Raise BadInput if the first row may hold values: a number above numbers.

    Numbers that count up by one are accepted as names: five or more (of columns), or three or more years.
    """
    numbers = [cell for cell, kind in zip(top, kinds, strict=True) if is_number(cell) and (kind in NUMERIC or not rows)]
    if not numbers or _count_up(numbers):
        return
    raise BadInput(
        f"its first row may hold values, not names ({listed(numbers, most=4)}): pass header='no' or header='yes', or "
        "add a row of names"
    )


def _count_up(numbers: list[str]) -> bool:
    if not all(one.isdigit() for one in numbers):
        return False
    counted = [int(one[:9]) for one in numbers]
    if counted != list(range(counted[0], counted[0] + len(counted))):
        return False
    return len(counted) >= 5 or (len(counted) >= 3 and 1800 <= counted[0] <= 2200)  # noqa: PLR2004 - said above
