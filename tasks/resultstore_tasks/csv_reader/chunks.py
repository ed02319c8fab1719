"""Chunks: pieces of whole rows of a delimited text, checked before they are parsed."""

import codecs
import re
from array import array
from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from resultstore import BadInput
from resultstore_tasks.csv_reader.dialect import Dialect, looks_western, refuse_nul

BLOCK_BYTES: Final = 1024 * 1024
"""Size of a block that is read at a time, and of the longest row."""

MAX_CELLS: Final = 1_000_000
"""Maximum number of cells of a chunk; a block with more is split."""

MAX_PADDED_CELLS: Final = 1_000_000
"""Cells that may be missing in all short rows together: padding must not cost more than the table itself."""

_QUOTE, _LF, _CR = ord('"'), ord("\n"), ord("\r")

Positions = NDArray[np.int64]
Marks = NDArray[np.uint8]
Flags = NDArray[np.bool_]


class NotInEncoding(Exception):
    """`row` is not valid in the assumed encoding; `sample` is a part of its bytes."""

    def __init__(self, row: int, sample: bytes) -> None:
        self.row, self.sample = row, sample


class _Undecoded(Exception):
    def __init__(self, before: bytes, sample: bytes) -> None:
        self.before, self.sample = before, sample


class Chunk(msgspec.Struct, frozen=True):
    """Some whole rows in UTF-8 with their line ends. `first_row` counts from 1, without blank lines."""

    text: bytes
    first_row: int
    rows: int


class _Rows(msgspec.Struct, frozen=True):
    """Positions of the whole rows of a text that are not blank.

    Args:
        starts, ends: positions of each row, its line end included.
        delimiters: number of delimiters of each row.
        end: position after the last whole line, blank ones included.
        is_open: whether the text ends inside quotes.
    """

    starts: Positions
    ends: Positions
    delimiters: Positions
    end: int
    is_open: bool


class Chunks:
    """Reads the rows of a table in chunks of at most 2 MiB.

    Args:
        stream: the table's bytes; must be seekable.
        dialect: delimiter and encoding.
        guessed: whether the encoding is a guess, so that each block must look like Western text.

    Quotes follow RFC 4180 (section 2): a cell that begins with a quote ends with one, and quotes inside are doubled.
    In a cell that does not begin with a quote, a quote is an ordinary character.
    """

    def __init__(self, stream: BinaryIO, dialect: Dialect, *, guessed: bool = False) -> None:
        self.read_bytes = 0
        self.short_rows = 0
        self._stream = stream
        self.dialect = dialect
        self._guessed = guessed
        self._delimiter = ord(dialect.delimiter)
        # Possessive quantifiers do not backtrack, so that a long cell costs no memory.
        within = re.escape(dialect.delimiter.encode())
        self._cell = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"|[^"\r\n%b][^\r\n%b]*+|' % (within, within))
        self._padded_cells = 0
        self._rows_before = 0
        self._ends_with_cr: bool | None = None

    def first_row(self) -> bytes:
        """Return the bytes of the table's first row, or b"" if it is empty. Raises what `read` raises."""
        for text, rows in self._texts():
            if rows.ends.size:
                return text[rows.starts[0] : rows.ends[0]]
        return b""

    def cells_of(self, row: bytes) -> int:
        """Return the number of cells of a whole row."""
        return int(self._find_rows(row, last=True).delimiters[0]) + 1

    def read(self, *, columns: int, with_first: bool) -> Iterator[Chunk]:
        """Yield the rows from the beginning, each with exactly `columns` cells. Blank lines are skipped.

        Args:
            columns: number of cells of the first row. Shorter rows are padded with empty cells, and counted in
                `short_rows`.
            with_first: whether to yield the first row.

        Raises BadInput, which names the row, if it has more cells than `columns` or is longer than 1 MiB. The same for
        an unclosed quote, text after a closing quote, and NUL bytes. Raises NotInEncoding.
        """
        self.short_rows = self._padded_cells = 0
        most = max(1, MAX_CELLS // columns)
        for text, rows in self._texts():
            missing = self._missing_cells(rows, columns)
            first = 0 if with_first or self._rows_before else 1
            for at in range(first, rows.ends.size, most):
                some = slice(at, at + most)
                yield Chunk(
                    self._pad(text, rows.starts[some], rows.ends[some], missing[some]),
                    self._rows_before + at + 1,
                    len(rows.ends[some]),
                )

    def _texts(self) -> Iterator[tuple[bytes, _Rows]]:
        """Yield the text block by block, with the positions of its whole rows."""
        self._stream.seek(self.dialect.skipped_bytes)
        self.read_bytes = self.dialect.skipped_bytes
        self._rows_before = 0
        self._ends_with_cr = None
        rest = b""
        blocks = self._blocks()
        while True:
            try:
                block, last = next(blocks)
            except _Undecoded as found:
                row = self._rows_before + self._find_rows(rest + found.before, last=False).ends.size + 1
                raise NotInEncoding(row, found.sample) from None
            text = rest + block
            rows = self._find_rows(text, last=last)
            yield text, rows
            rest = text[rows.end :]
            self._rows_before += rows.ends.size
            if rows.is_open and last:
                raise BadInput(f"row {self._rows_before + 1}: a quote is not closed; close it")
            if len(rest) > BLOCK_BYTES:
                row = self._rows_before + 1
                raise BadInput(f"row {row} is longer than 1 MiB: a quote is not closed, or it is no table")
            if last:
                return

    def _blocks(self) -> Iterator[tuple[bytes, bool]]:
        """Yield the text in UTF-8, and whether the block is the last one. A CRLF is never split."""
        decoder = codecs.getincrementaldecoder(self.dialect.encoding)()
        held_back = b""
        while raw := self._stream.read(BLOCK_BYTES):
            self.read_bytes += len(raw)
            block = held_back + self._decode(decoder, raw, last=False)
            held_back = block[-1:] if block.endswith(b"\r") else b""
            yield block[: len(block) - len(held_back)], False
        yield held_back + self._decode(decoder, b"", last=True), True

    def _decode(self, decoder: codecs.IncrementalDecoder, raw: bytes, *, last: bool) -> bytes:
        refuse_nul(raw)
        pending = decoder.getstate()[0]
        if raw.isascii() and not pending and self.dialect.encoding == "utf-8":
            return raw
        if self._guessed and not raw.isascii() and not looks_western(raw):
            raise _Undecoded(b"", raw)
        try:
            return decoder.decode(raw, last).encode()
        except UnicodeDecodeError as error:
            before = (pending + raw)[: error.start].decode(self.dialect.encoding, errors="ignore").encode()
            raise _Undecoded(before, pending + raw) from None

    def _find_rows(self, text: bytes, *, last: bool) -> _Rows:
        """Find the whole rows in `text`; the last row of a table needs no line end."""
        marks = np.frombuffer(text, np.uint8)
        is_open = False
        if b'"' not in text:
            ends, delimiters = _line_ends(marks), np.flatnonzero(marks == self._delimiter)
        else:
            outside = self._outside_quotes(marks)
            if outside is None:
                ends, delimiters, is_open = self._scan_cells(text)
            else:
                ends = _line_ends(marks)
                ends = ends[outside[ends - 1]]
                delimiters = np.flatnonzero((marks == self._delimiter) & outside)
                is_open = not outside[-1]
        self._check_line_ends(marks, ends)
        if last and not is_open and marks.size and (not ends.size or ends[-1] < marks.size):
            ends = np.append(ends, marks.size)
        return _drop_blank(marks, ends, delimiters, is_open=is_open)

    def _outside_quotes(self, marks: Marks) -> Flags | None:
        """Return which bytes are outside quotes; None if a quote is in a place where it opens or closes no cell."""
        quotes = np.flatnonzero(marks == _QUOTE)
        opening, closing = quotes[0::2], quotes[1::2]
        before = marks[opening[opening > 0] - 1]
        after = marks[closing[closing < marks.size - 1] + 1]
        next_to = np.concatenate([before, after])
        if not np.isin(next_to, [self._delimiter, _LF, _CR, _QUOTE]).all():
            return None
        # Odd after an opening quote: the closing one itself counts as outside.
        outside: Flags = np.bitwise_and(np.cumsum(marks == _QUOTE), 1) == 0
        return outside

    def _scan_cells(self, text: bytes) -> tuple[Positions, Positions, bool]:
        """Find line ends and delimiters outside quotes, one cell at a time: the slow way, for quotes inside cells."""
        ends, delimiters = array("q"), array("q")
        at, size = 0, len(text)
        while at < size:
            found = self._cell.match(text, at)
            assert found is not None  # it also matches the empty text
            if found.end() == at and text[at] == _QUOTE:
                return _positions(ends), _positions(delimiters), True
            at = found.end()
            if at == size:
                break
            if text[at] == self._delimiter:
                delimiters.append(at)
            elif text[at] in (_LF, _CR):
                at += text.startswith(b"\r\n", at)
                ends.append(at + 1)
            else:
                marks = np.frombuffer(text, np.uint8)
                rows = _drop_blank(marks, _positions(ends), _positions(delimiters), is_open=False)
                row = self._rows_before + rows.ends.size + 1
                raise BadInput(f"row {row}: text follows a closing quote; double each quote inside a cell, or close it")
            at += 1
        return _positions(ends), _positions(delimiters), False

    def _check_line_ends(self, marks: Marks, ends: Positions) -> None:
        """Raise BadInput if some lines end with CR alone and others with LF: one of them may be part of a cell."""
        with_cr = marks[ends - 1] == _CR
        if self._ends_with_cr is None and ends.size:
            self._ends_with_cr = bool(with_cr[0])
        other = np.flatnonzero(with_cr != self._ends_with_cr)
        if other.size:
            row = self._rows_before + _drop_blank(marks, ends[: other[0]], ends[:0], is_open=False).ends.size + 1
            raise BadInput(f"row {row} ends with a carriage return or line feed alone, unlike row 1; quote that cell")

    def _missing_cells(self, rows: _Rows, columns: int) -> Positions:
        """Return the number of missing cells of each row. Raises BadInput if a row has too many, or too many miss."""
        missing = columns - 1 - rows.delimiters
        long = np.flatnonzero(missing < 0)
        if long.size:
            row, cells = self._rows_before + int(long[0]) + 1, int(rows.delimiters[long[0]]) + 1
            raise BadInput(f"row {row} has {cells} columns, row 1 has {columns}; quote or correct that row")
        self.short_rows += int(np.count_nonzero(missing))
        self._padded_cells += int(missing.sum())
        if self._padded_cells > MAX_PADDED_CELLS:
            row = self._rows_before + int(np.flatnonzero(missing)[0]) + 1
            raise BadInput(f"too many rows are shorter than row 1, which has {columns} columns (row {row} is one)")
        return missing

    def _pad(self, text: bytes, starts: Positions, ends: Positions, missing: Positions) -> bytes:
        """Return the text of the rows, padded with a delimiter for each missing cell."""
        start = int(starts[0])
        piece = text[start : int(ends[-1])]
        if not missing.any():
            return piece
        marks = np.frombuffer(piece, np.uint8)
        stops = ends - start
        stops = stops - (marks[stops - 1] == _LF)
        stops = stops - (marks[stops - 1] == _CR)
        return np.insert(marks, np.repeat(stops, missing), self._delimiter).tobytes()


def _line_ends(marks: Marks) -> Positions:
    """Return the positions after each LF, CRLF and single CR."""
    stop = marks == _CR
    stop[:-1] &= marks[1:] != _LF
    return np.flatnonzero(stop | (marks == _LF)) + 1


def _positions(found: "array[int]") -> Positions:
    return np.frombuffer(found, np.int64) if found else np.empty(0, np.int64)


def _drop_blank(marks: Marks, ends: Positions, delimiters: Positions, *, is_open: bool) -> _Rows:
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if ends.size else ends
    filled = ~np.isin(marks[starts], [_LF, _CR])
    up_to = np.searchsorted(delimiters, ends)
    counts = np.diff(up_to, prepend=0)
    end = int(ends[-1]) if ends.size else 0
    return _Rows(starts[filled], ends[filled], counts[filled], end, is_open)
