"""Sniff: which media type the first bytes of a file show; the declared one is never trusted."""

from collections.abc import Mapping
from typing import Final

import pylibmagic  # noqa: F401 - it tells python-magic where the library is: first, therefore

# isort: split
import magic

from resultstore.uploads import isomedia

HEAD_BYTES: Final = 4096

_PARQUET: Final = "application/vnd.apache.parquet"
_SAFETENSORS: Final = "application/vnd.safetensors"
_ONNX: Final = "application/onnx"
_OFFICE: Final = "application/vnd.openxmlformats-officedocument."

# Names that libmagic gives, or that senders declare, for the type that IANA registered or that is customary here.
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
# Types of one container: which of them a file is called depends on who wrote it, and is the same to whoever reads it.
_FAMILIES: Final = (
    frozenset({"video/mp4", "video/quicktime", "video/3gpp", "video/3gpp2", "audio/mp4"}),
    frozenset({"video/webm", "video/x-matroska"}),
)
# What text shows itself as, when it is a table all the same. Markup is not among them: a browser would run it.
_AS_TABLE: Final = frozenset({"text/csv", "text/plain", "text/tab-separated-values"})
# The folder of a ZIP archive that tells what kind of document it is (ECMA-376 part 2).
_INSIDE: Final[Mapping[bytes, str]] = {
    b"word/": _OFFICE + "wordprocessingml.document",
    b"xl/": _OFFICE + "spreadsheetml.sheet",
    b"ppt/": _OFFICE + "presentationml.presentation",
}
_ZIP_ENTRY: Final = b"PK\x03\x04"
_ENTRY_HEAD_BYTES: Final = 30  # APPNOTE.TXT 4.3.7: the name's length stands at 26
_LONGEST_SAFETENSORS_HEADER: Final = 100_000_000  # as their own reader (safetensors/src/tensor.rs)


class Sniffer:
    """libmagic, and what it does not know. Threads may share it."""

    def __init__(self) -> None:
        self._magic = magic.Magic(mime=True)

    def sniff(self, head: bytes) -> str:
        """The media type of the file that begins with `head` (its first 4 KiB, or all of it)."""
        own = _own(head)
        return own or canonical(str(self._magic.from_buffer(head)))


def canonical(media_type: str) -> str:
    """A media type without parameters and in lower case, under the name that is used here."""
    bare = media_type.partition(";")[0].strip().lower()
    return _SAME.get(bare, bare)


def agrees(*, declared: str, shown: str) -> bool:
    """Whether bytes that show themselves as `shown` may be of the type that was `declared`."""
    if declared in {"text/csv", "text/tab-separated-values"}:
        return shown in _AS_TABLE
    return declared == shown or any({declared, shown} <= family for family in _FAMILIES)


def _own(head: bytes) -> str:
    """What libmagic has no name for."""
    if film_or_picture := isomedia.media_type(head):
        return film_or_picture
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
    """The kind of a ZIP archive, by the names of its first entries."""
    at = 0
    while (at := head.find(_ZIP_ENTRY, at)) >= 0:
        name_bytes = int.from_bytes(head[at + 26 : at + 28], "little")
        name = head[at + _ENTRY_HEAD_BYTES : at + _ENTRY_HEAD_BYTES + name_bytes]
        for folder, media_type in _INSIDE.items():
            if name.startswith(folder):
                return media_type
        at += 4
    return "application/zip"
