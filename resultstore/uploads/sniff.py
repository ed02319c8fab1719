"""Sniffer: detects the media type from the first bytes of a file; the declared type is never trusted."""

import re
from collections.abc import Mapping
from typing import Final, Self

import pylibmagic  # noqa: F401 - sets the library path for python-magic, so it comes first

# isort: split
import magic

from resultstore.store.naming import media_type_of
from resultstore.uploads import isomedia

HEAD_BYTES: Final = 4096
UNDECLARED: Final = "application/octet-stream"  # any bytes (RFC 2046, section 4.5.1): the type is found by the gateway

_PARQUET: Final = "application/vnd.apache.parquet"
_SAFETENSORS: Final = "application/vnd.safetensors"
_ONNX: Final = "application/onnx"
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."

# Aliases of libmagic and of clients for the registered (IANA) or customary media type.
_SAME: Final[Mapping[str, str]] = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "video/x-m4v": "video/mp4",
    "video/3gp": "video/3gpp",
    "video/matroska": "video/x-matroska",
    "application/csv": "text/csv",
    "application/x-gzip": "application/gzip",
    "application/vnd.apache.parquet": _PARQUET,
    "application/x-parquet": _PARQUET,
}
# Types with the same container format, which readers treat alike.
_FAMILIES: Final = (
    frozenset({"video/mp4", "video/quicktime", "video/3gpp", "video/3gpp2", "audio/mp4"}),
    frozenset({"video/webm", "video/x-matroska"}),
)
# Names of libmagic for plain text, including UTF-16, which `_is_plain_text` does not recognise.
_PLAIN: Final = frozenset({"text/csv", "text/plain", "text/tab-separated-values"})
# Text formats whose type does not begin with text/
_TEXTUAL: Final = frozenset({"application/json", "application/x-ndjson", "application/yaml", "application/sql"})
# A browser would execute markup, so it is never accepted as text, nor text as markup.
_MARKUP: Final = frozenset({"text/html", "text/xml", "application/xml", "application/xhtml+xml", "image/svg+xml"})
_NO_TEXT: Final = _MARKUP | {"application/pdf"}
_TAGS: Final = re.compile(rb"<\s*(?:!doctype\s+html|html|script|svg|iframe)\b|<\?xml\b", re.IGNORECASE)
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_DOS_END: Final = b"\x1a"
# The folder in a ZIP archive that identifies the kind of document (ECMA-376 part 2).
_INSIDE: Final[Mapping[bytes, str]] = {
    b"word/": _OFFICE + "wordprocessingml.document",
    b"xl/": _OFFICE + "spreadsheetml.sheet",
    b"ppt/": _OFFICE + "presentationml.presentation",
}
_ZIP_ENTRY: Final = b"PK\x03\x04"
_ENTRY_HEAD_BYTES: Final = 30  # APPNOTE.TXT 4.3.7: the name length is at offset 26
_LONGEST_SAFETENSORS_HEADER: Final = 100_000_000  # as their own reader (safetensors/src/tensor.rs)


class SniffedType(str):
    """The detected media type of a file, with `is_text`: all its characters are plain text."""

    __slots__ = ("is_text",)
    is_text: bool

    def __new__(cls, media_type: str, *, is_text: bool) -> Self:
        """Make a media type that knows whether it is text."""
        made = super().__new__(cls, media_type)
        made.is_text = is_text
        return made


class Sniffer:
    """Detects media types by libmagic, and some that libmagic does not know. Threads may share it."""

    def __init__(self) -> None:
        self._magic = magic.Magic(mime=True)

    def sniff(self, head: bytes) -> SniffedType:
        """Return the media type of the file that begins with `head` (its first 4 KiB, or all of it)."""
        shown = _own(head) or canonical(str(self._magic.from_buffer(head)))
        is_text = shown not in _NO_TEXT and not _TAGS.search(head) and (shown in _PLAIN or _is_plain_text(head))
        return SniffedType(shown, is_text=is_text)


def canonical(media_type: str) -> str:
    """Return a media type without parameters, in lower case, with aliases replaced."""
    bare = media_type.partition(";")[0].strip().lower()
    return _SAME.get(bare, bare)


def agrees(*, declared: str, shown: SniffedType) -> bool:
    """Return True if bytes with the detected type `shown` may be of the `declared` type.

    Plain text may be any declared text format, because libmagic guesses by words: a table with a column `From: ` is
    reported as an email.
    """
    if declared not in _MARKUP and (declared.startswith("text/") or declared in _TEXTUAL):
        return shown.is_text or declared == shown
    return declared == shown or any({declared, shown} <= family for family in _FAMILIES)


def found_type(file_name: str, shown: SniffedType) -> str:
    """Return the media type of a file declared as `UNDECLARED`: by its name if its bytes agree, else `shown`."""
    named = canonical(media_type_of(file_name))
    return named if agrees(declared=named, shown=shown) else str(shown)


def _is_plain_text(head: bytes) -> bool:
    """Return True if there are no control characters. Bytes above 127 may be of any encoding."""
    head = head.removesuffix(_DOS_END)
    return bool(head) and not _CONTROLS.search(head)


def _own(head: bytes) -> str:
    """Return a media type that libmagic does not know, or ""."""
    if iso_media := isomedia.media_type(head):
        return iso_media
    if head.startswith(b"PAR1"):
        return _PARQUET
    if _is_safetensors(head):
        return _SAFETENSORS
    # ModelProto: field 1 (ir_version, a small varint), then field 2 (producer_name), 7 (graph) or 8 (opset_import).
    if len(head) > 2 and head[0] == 0x08 and 0 < head[1] < 32 and head[2] in (0x12, 0x3A, 0x42):  # noqa: PLR2004
        return _ONNX
    if head.startswith(_ZIP_ENTRY):
        return _inside(head)
    return ""


def _is_safetensors(head: bytes) -> bool:
    header_bytes = int.from_bytes(head[:8], "little")
    return 2 <= header_bytes <= _LONGEST_SAFETENSORS_HEADER and head[8:10] in (b'{"', b"{}")  # noqa: PLR2004


def _inside(head: bytes) -> str:
    """Return the media type of a ZIP archive by the names of its first entries."""
    at = 0
    while (at := head.find(_ZIP_ENTRY, at)) >= 0:
        name_bytes = int.from_bytes(head[at + 26 : at + 28], "little")
        name = head[at + _ENTRY_HEAD_BYTES : at + _ENTRY_HEAD_BYTES + name_bytes]
        for folder, media_type in _INSIDE.items():
            if name.startswith(folder):
                return media_type
        at += 4
    return "application/zip"
