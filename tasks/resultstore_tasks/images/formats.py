"""Formats and sizes of pictures: which ones are accepted, and which copies are made."""

from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from resultstore import BadInput

MAX_PIXELS = 200_000_000
"""Width times height above which a picture is refused from its header, before anything is decoded."""
MAX_WHOLE_PIXELS = 64_000_000
"""The same for pictures that a decoder must hold as a whole (interlaced, animated or block-coded)."""
MAX_RICH_PIXELS = 40_000_000
"""The same for GIF, and for WebP and AVIF with transparency, several frames or more than 8 bits: these take up to 24
bytes a pixel to decode."""
MAX_GIF_BYTES = 128 * 1024 * 1024
"""Largest GIF: its decoder holds the whole file twice."""
MAX_FRAMES = 1_000
MAX_OUTPUT_PIXELS = 40_000_000
MAX_RICH_OUTPUT_PIXELS = 24_000_000
"""The same for a WebP or AVIF copy with transparency, which takes twice as much to encode."""

SUFFIXES = {"webp": ".webp", "jpeg": ".jpg", "avif": ".avif"}
MAX_SIDES = {"webp": 16_383, "jpeg": 65_500, "avif": 16_384}
"""Longest side in pixels that the encoders can write: RFC 9649 (14 bits), libjpeg, libheif."""
MEDIA_TYPES = {"webp": "image/webp", "jpeg": "image/jpeg", "avif": "image/avif"}

# Magic bytes of the content; the file name does not matter.
_ACCEPTED = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}
_REFUSED = {
    b"%!PS": "PostScript (EPS)",
    b"\xc5\xd0\xd3\xc6": "PostScript (EPS)",
    b"%PDF": "PDF",
    b"<?xml": "XML (SVG)",
    b"<svg": "SVG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
    b"8BPS": "Photoshop",
    b"PK\x03\x04": "ZIP",
}
_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_HEIF_BRANDS = (b"mif1", b"msf1")  # name the structure only; the other brands name the codec
_HEAD_BYTES = 512
_REMEDY = "send a JPEG, PNG, WebP, AVIF or GIF"


class Picture(msgspec.Struct, frozen=True):
    """One encoded copy: its size in pixels and its bytes."""

    width: int
    height: int
    encoded: bytes


def sniff(stream: BinaryIO) -> str:
    """Return the kind of picture that the first bytes show. Raises BadInput for one that is not accepted."""
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    if not head:
        raise BadInput("the file is empty; send it again")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return _sniff_brand(head)
    for magic, kind in _ACCEPTED.items():
        if head.startswith(magic):
            return kind
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = next((kind for magic, kind in _REFUSED.items() if text.startswith(magic)), "no known picture format")
    raise BadInput(f"its content is {kind}, whatever its name says; {_REMEDY}")


def plan_sizes(
    size: tuple[int, int], widths: Sequence[int], *, max_side: int, max_pixels: int = MAX_OUTPUT_PIXELS
) -> list[tuple[int, int]]:
    """Return the sizes (width, height) of the copies of a picture of `size`, widest first and without duplicates.

    No copy is larger than the picture. A copy that would be higher than `max_side`, the limit of its format, is made
    narrower. Every height is computed from the original, so that rounding errors do not add up.
    """
    full_width, full_height = size
    most = min(full_width, max(1, full_width * max_side // full_height))
    wanted = sorted({min(width, most) for width in widths}, reverse=True)
    heights = (min(max_side, max(1, round(full_height * width / full_width))) for width in wanted)
    sizes = list(zip(wanted, heights, strict=True))
    if sizes[0][0] * sizes[0][1] > max_pixels:
        raise BadInput(
            f"a copy of {sizes[0][0]} x {sizes[0][1]} pixels is over the cap of {max_pixels // 10**6}"
            " megapixels; ask for a smaller width"
        )
    return sizes


def check_size(kind: str, size_bytes: int) -> None:
    """Raise BadInput if the file is too large for the decoder of this kind, before anything is decoded."""
    if kind == "GIF" and size_bytes > MAX_GIF_BYTES:
        raise BadInput(f"it has {size_bytes:,} bytes, over the cap of {MAX_GIF_BYTES:,} for a GIF; send a video")


def check_header(kind: str, pixels: int, *, frames: int, interlaced: bool, rich: bool = False) -> None:
    """Raise BadInput if the header shows a picture over a limit, before anything is decoded."""
    if frames > MAX_FRAMES:
        raise BadInput(f"it has {frames:,} frames, over the cap of {MAX_FRAMES:,}; send fewer")
    whole = interlaced or kind not in {"JPEG", "PNG"}
    cap = MAX_WHOLE_PIXELS if whole else MAX_PIXELS
    if whole and rich and kind in {"GIF", "WebP", "AVIF"}:
        cap = MAX_RICH_PIXELS
        kind += "" if kind == "GIF" else " with transparency, several frames or more than 8 bits"
    if pixels > cap:
        article = "an" if interlaced or kind.startswith("A") else "a"
        of_what = f" for {article}{' interlaced' if interlaced else ''} {kind}" if whole else ""
        raise BadInput(
            f"it has {pixels // 10**6:,} megapixels, over the cap of {cap // 10**6:,}{of_what}; send a smaller one"
        )


def _sniff_brand(head: bytes) -> str:
    """Return the kind of an ISO media file, from its main brand and its compatible brands."""
    size_bytes = min(len(head), int.from_bytes(head[:4], "big"))
    first, *others = [head[8:12], *(head[at : at + 4] for at in range(16, size_bytes, 4))]
    brands = (first, *others) if first in _HEIF_BRANDS else (first,)
    if any(one in _HEIC_BRANDS for one in brands):
        raise BadInput(f"its content is HEIC, whose codec is not part of this build; {_REMEDY}")
    if any(one in _AVIF_BRANDS for one in brands) or first in _HEIF_BRANDS:
        return "AVIF"
    raise BadInput(f"its content is a film or a sound (ISO media, brand {first!r}); {_REMEDY}")
