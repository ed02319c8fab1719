"""Dialect of a delimited text: its delimiter and encoding, detected from its first bytes."""

import codecs
import csv
import io
import re
from collections import Counter
from typing import BinaryIO, Final, Literal

import msgspec

from resultstore import BadInput

DELIMITERS: Final = (",", ";", "\t", "|")
"""Delimiters that are detected; `sep=` in the first line may name another one."""

Encoding = Literal[
    "auto",
    "utf-8",
    "windows-1252",
    "windows-1250",
    "windows-1251",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-15",
    "shift_jis",
    "gb18030",
]
"""Encoding of a table's text. `auto` is UTF-8, or Windows-1252 if the text looks like it."""

Header = Literal["auto", "yes", "no"]
"""Whether the first row holds the columns' names. `auto` refuses a table whose first row may be values."""

FALLBACK: Final = "windows-1252"
HEAD_BYTES: Final = 64 * 1024
AS_CSV: Final = "send CSV with a header row"
_NOT_TEXT: Final = {
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"PAR1": "a Parquet file already",
    b"\x1f\x8b": "compressed by gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
# The line from which Excel reads the delimiter. Letters, digits, quotes and line ends are not allowed.
_SEP_LINE: Final = re.compile(r"""sep=([^\w"'\r\n\0])[ \t]*(?:\r\n|\r|\n|$)""", re.IGNORECASE | re.ASCII)
_SAMPLE_ROWS: Final = 200
_MIN_RELATIVE_AGREEMENT: Final = 0.9  # some rows may be short
# A Western European word in Windows-1252: ASCII letters with few of À to ÿ, Š, š, Ž, ž, Œ, œ, Ÿ among them.
_WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_LETTERS: Final = frozenset(b"\x8a\x8c\x8e\x9a\x9c\x9e\x9f") | (frozenset(range(0xC0, 0x100)) - {0xD7, 0xF7})
# Quotes, dashes, dots, the euro, and other signs next to words and numbers.
_SIGNS: Final = frozenset(b"\x80\x82\x84\x85\x91\x92\x93\x94\x95\x96\x97\x99\xa0\xa1\xa3\xa7\xa9\xab\xae\xb0\xb2\xb3")
# A Western European letter in UTF-8; in Windows-1252 it would be a capital letter followed by a sign.
_UTF8_LETTER: Final = re.compile(rb"[\xc2\xc3][\x80-\xbf]")
# Old code pages have letters at these code points: é, ä, ö, í, ú in CP850, ß in Mac Roman.
_BETWEEN_LETTERS: Final = rb"[A-Za-z][\x94\xa3\xa7\xab\xb3\xbb\xbd][A-Za-z]"
_OPENING_AFTER_LETTER: Final = rb"[A-Za-z][\x82\x84\xa1\xbf]"
_CAPITAL_IN_WORD: Final = rb"[a-z][\x8a\x8c\x8e\x9f]|[A-Z][\x8a\x8c\x8e\x9f][a-z]"
_OLD_CODE_PAGE: Final = re.compile(b"|".join((_BETWEEN_LETTERS, _OPENING_AFTER_LETTER, _CAPITAL_IN_WORD)))
_MORE_SIGNS: Final = frozenset(b"\xb1\xb4\xb5\xb7\xba\xbb\xbd\xbf\xd7\xf7")


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """Delimiter and encoding of a table.

    Args:
        delimiter: one character.
        encoding: Python's name of the encoding.
        skipped_bytes: length of the byte order mark and the `sep=` line before the first row.
    """

    delimiter: str
    encoding: str
    skipped_bytes: int


def read_dialect(stream: BinaryIO, *, encoding: str, max_bytes: int | None) -> Dialect:
    """Detect the dialect of a text from its first 64 KiB.

    Args:
        stream: the text; must be seekable.
        encoding: one of `Encoding`; `auto` means UTF-8 here.
        max_bytes: size limit of the whole text; None for no limit.

    Raises BadInput if the text is empty, over the limit, or binary.
    """
    if max_bytes is not None and stream.seek(0, io.SEEK_END) > max_bytes:
        raise BadInput(f"it is over the cap of {max_bytes:,} bytes of this task; send a smaller table")
    stream.seek(0)
    head = _read_up_to(stream, HEAD_BYTES)
    _refuse_binary(head)
    encoding = "utf-8" if encoding == "auto" else encoding
    skipped_bytes = len(codecs.BOM_UTF8) if encoding == "utf-8" and head.startswith(codecs.BOM_UTF8) else 0
    text = head[skipped_bytes:].decode(encoding, errors="replace")
    if named := _SEP_LINE.match(text):
        skipped_bytes += len(named[0].encode(encoding))
        delimiter = named[1]
        if ord(delimiter) > 127:  # noqa: PLR2004 - the reader takes one byte
            raise BadInput(f"its first line names the delimiter {delimiter!r}; use a comma, semicolon, tab or bar")
    else:
        delimiter = _delimiter(text, whole=len(head) < HEAD_BYTES)
    return Dialect(delimiter=delimiter, encoding=encoding, skipped_bytes=skipped_bytes)


def looks_western(sample: bytes) -> bool:
    """Return whether text that is not UTF-8 may be Windows-1252.

    Every byte above 127 must be a letter in a word that is mostly ASCII, or a common sign. Text in Cyrillic, Greek,
    Chinese or Japanese does not pass, nor does most text of DOS (CP850) and old Macs, which Excel still writes.
    Central European text in Windows-1250 may pass, so the caller must report the guess.
    """
    if _UTF8_LETTER.search(sample) or _OLD_CODE_PAGE.search(sample):
        return False  # two encodings in one text, or another one
    found = _WORD.findall(sample)
    for word in found:
        high = [one for one in word if one > 127]  # noqa: PLR2004 - above ASCII
        letters = sum(one in _LETTERS for one in high)
        if any(one not in _LETTERS and one not in _SIGNS and one not in _MORE_SIGNS for one in high):
            return False
        if letters > max(1, (len(word) + 1) // 2):
            return False
    return bool(found)


def _read_up_to(stream: BinaryIO, size_bytes: int) -> bytes:
    # A raw stream may return fewer bytes than requested.
    pieces: list[bytes] = []
    missing_bytes = size_bytes
    while missing_bytes > 0 and (piece := stream.read(missing_bytes)):
        pieces.append(piece)
        missing_bytes -= len(piece)
    return b"".join(pieces)


def _refuse_binary(head: bytes) -> None:
    if not head.removeprefix(codecs.BOM_UTF8).strip():
        raise BadInput(f"it is empty; {AS_CSV}")
    kind = next((kind for magic, kind in _NOT_TEXT.items() if head.startswith(magic)), None)
    if kind is not None:
        raise BadInput(f"it is {kind}, not CSV; {AS_CSV}")
    refuse_nul(head)


def refuse_nul(text: bytes) -> None:
    """Raise BadInput if `text` holds a NUL byte."""
    if b"\0" in text:
        raise BadInput(f"it holds NUL bytes: it is binary, not CSV; {AS_CSV}")


def _delimiter(text: str, *, whole: bool) -> str:
    """Return the delimiter that gives most rows the same number of cells; a comma if none splits the first row.

    A tab has precedence over others that split the rows as evenly. Raises BadInput if two others do: commas split
    `Net, EUR;Gross, EUR` as evenly as the semicolon does.
    """
    judged = {one: _agreement(text, one, whole=whole) for one in DELIMITERS}
    best = max(judged.values())[0]
    if not best:
        return ","
    likely = [one for one, (agreeing, _) in judged.items() if agreeing >= _MIN_RELATIVE_AGREEMENT * best]
    if "\t" in likely or len(likely) == 1:
        return "\t" if "\t" in likely else likely[0]
    raise BadInput(
        f"both {likely[0]!r} and {likely[1]!r} split its rows evenly; put a line `sep={likely[1]}`, with the "
        "delimiter that is meant, before its first row"
    )


def _agreement(text: str, delimiter: str, *, whole: bool) -> tuple[float, int]:
    """Return the share of the first rows with the most frequent cell count, and that count; (0, 0) if it is 1."""
    counts = _cell_counts(text, delimiter)
    if not whole and len(counts) > 1:
        counts.pop()  # it was cut at the end of the head
    if not counts or counts[0] < 2:  # noqa: PLR2004 - it does not split the first row
        return 0.0, 0
    columns, rows = Counter(counts).most_common(1)[0]
    return (rows / len(counts), columns) if columns > 1 else (0.0, 0)


def _cell_counts(text: str, delimiter: str) -> list[int]:
    counts: list[int] = []
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in rows:
            if cells:
                counts.append(len(cells))
            if len(counts) >= _SAMPLE_ROWS:
                break
    except csv.Error:  # a cell over csv.field_size_limit, or text after a closing quote: the rows before it count
        pass
    return counts
