"""Cicp: the colour space that an AVIF or PNG file names, by the numbers of ITU-T H.273."""

from typing import BinaryIO, Final

import msgspec

BT709: Final = 1
BT2020, DISPLAY_P3 = 9, 12
LINEAR, PQ, HLG = 8, 16, 18
_HEAD_BYTES: Final = 256 * 1024
_MAX_BOXES: Final = 1_000
_PNG_HEAD: Final = 8
_META_FLAGS: Final = 4


class Cicp(msgspec.Struct, frozen=True):
    """Primaries and transfer function of a picture, by their numbers in H.273."""

    primaries: int
    transfer: int

    @property
    def is_high(self) -> bool:
        """Whether it has a high dynamic range."""
        return self.transfer in {PQ, HLG}

    @property
    def is_usual(self) -> bool:
        """Whether it can be treated as sRGB, like a picture that names no colour space."""
        return self.transfer not in {LINEAR, PQ, HLG} and self.primaries not in {BT2020, DISPLAY_P3}


def read_cicp(stream: BinaryIO, kind: str) -> Cicp | None:
    """Return the colour space that the picture in `stream` names, or None. `kind` comes from `formats.sniff`."""
    if kind not in {"AVIF", "PNG"}:
        return None
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    return _in_avif(head) if kind == "AVIF" else _in_png(head)


def _in_png(head: bytes) -> Cicp | None:
    """Read the chunk cICP (PNG, third edition, 11.3.2.6), which comes before the pixels."""
    at = _PNG_HEAD
    for _ in range(_MAX_BOXES):
        size_bytes, name = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if name == b"cICP" and len(head) >= at + 10:
            return Cicp(head[at + 8], head[at + 9])
        if name in {b"IDAT", b"IEND", b""}:
            break
        at += size_bytes + 12
    return None


def _in_avif(head: bytes) -> Cicp | None:
    """Read the first property `colr` of the kind `nclx` (ISO/IEC 14496-12, 12.1.5)."""
    meta = _box(head, b"meta")[_META_FLAGS:]
    properties = _box(_box(meta, b"iprp"), b"ipco")
    for body in _boxes(properties, b"colr"):
        if body[:4] == b"nclx":
            return Cicp(int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big"))
    return None


def _box(content: bytes, name: bytes) -> bytes:
    return next(iter(_boxes(content, name)), b"")


def _boxes(content: bytes, name: bytes) -> list[bytes]:
    """Return the bodies of the boxes of this name. A box of an impossible size ends the list."""
    found, at = [], 0
    for _ in range(_MAX_BOXES):
        size_bytes = int.from_bytes(content[at : at + 4], "big")
        if size_bytes < 8:  # noqa: PLR2004 - a box's own head; 0 (to the end) and 1 (64 bits) are for media data
            break
        if content[at + 4 : at + 8] == name:
            found.append(content[at + 8 : at + size_bytes])
        at += size_bytes
    return found
