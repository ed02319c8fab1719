"""Isomedia: the media type of an ISO base media file (MP4, QuickTime, 3GPP, HEIF, AVIF) by its brands."""

from typing import Final

_FTYP: Final = b"ftyp"
# Old QuickTime files without brands begin with one of these boxes, followed by another box.
_EMPTY: Final = frozenset({b"wide", b"free", b"skip"})
_CONTENT: Final = frozenset({b"mdat", b"moov"})
_TYPE_AT, _BRANDS_AT = 4, 8
_BRAND_BYTES: Final = 4
_AVIF: Final = frozenset({b"avif", b"avis"})
_HEIC: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
# Brands of the structure only, which do not name a codec (ISO/IEC 23008-12).
_HEIF: Final = frozenset({b"mif1", b"msf1"})
_AUDIO: Final = frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "})
_BY_START: Final = {
    b"qt  ": "video/quicktime",
    b"3g2": "video/3gpp2",
    b"KDDI": "video/3gpp2",
    b"3g": "video/3gpp",
}
# Video brands that libmagic does not know, or reports as audio.
_VIDEO: Final = tuple(b"iso mp4 avc hvc hev av01 M4V MSNV dash cmf F4V f4v XAVC".split())


def media_type(head: bytes) -> str:
    """Return the media type of the file that begins with `head`, or "" if no brand is known.

    Compatible brands count as well, because the major brand may name only the structure: an AVIF image can have the
    major brand `mif1`.
    """
    size_bytes = int.from_bytes(head[:_TYPE_AT], "big")
    if head[_TYPE_AT:_BRANDS_AT] in _EMPTY:
        follows = head[size_bytes + _TYPE_AT : size_bytes + _BRANDS_AT]
        return "video/quicktime" if follows in _EMPTY | _CONTENT else ""
    if head[_TYPE_AT:_BRANDS_AT] != _FTYP:
        return ""
    first, rest = head[_BRANDS_AT : _BRANDS_AT + _BRAND_BYTES], head[_BRANDS_AT + 2 * _BRAND_BYTES : size_bytes]
    others = [rest[at : at + _BRAND_BYTES] for at in range(0, len(rest), _BRAND_BYTES)]
    return _of_brands([first, *others])


def _of_brands(brands: list[bytes]) -> str:
    first = brands[0]
    if first in _AVIF | _HEIC | _HEIF:
        return _picture(brands)
    if first in _AUDIO:
        return "audio/mp4"
    if known := next((kind for start, kind in _BY_START.items() if first.startswith(start)), ""):
        return known
    return "video/mp4" if any(one.startswith(_VIDEO) for one in brands) else ""


def _picture(brands: list[bytes]) -> str:
    for one in brands:
        if one in _AVIF:
            return "image/avif"
        if one in _HEIC:
            return "image/heic"
    return "image/heif"
