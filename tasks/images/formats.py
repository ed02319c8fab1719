"""Pictures: which pictures are taken, and which copies are made of them."""

from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from resultstore import BadInput

MAX_PIXELS = 200_000_000
"""Width times height above which a picture is refused from its header, before anything is decoded."""
MAX_WHOLE_PIXELS = 64_000_000
"""The same for what a decoder can only hold as a whole (interlaced, animated or block-coded pictures)."""
MAX_RICH_PIXELS = 40_000_000
"""The same for GIF, and for WebP and AVIF with transparency, several frames or more than 8 bits: these take up to 24
bytes a pixel to decode."""
MAX_GIF_BYTES = 128 * 1024 * 1024
"""Its decoder holds the whole file twice."""
MAX_FRAMES = 1_000
MAX_OUTPUT_PIXELS = 40_000_000
MAX_RICH_OUTPUT_PIXELS = 24_000_000
"""The same for a WebP or AVIF copy with transparency, which takes twice as much to encode."""

SUFFIXES = {"webp": ".webp", "jpeg": ".jpg", "avif": ".avif"}
MAX_SIDES = {"webp": 16_383, "jpeg": 65_500, "avif": 16_384}
"""In pixels, of what the encoders make: RFC 9649 (14 bits), libjpeg, libheif."""
MEDIA_TYPES = {"webp": "image/webp", "jpeg": "image/jpeg", "avif": "image/avif"}

# Content that says what it is in its first bytes, whatever the file is called.
_TAKEN = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}
_NOT_TAKEN = {
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
_HEIF_BRANDS = (b"mif1", b"msf1")  # of the structure alone: the others say the codec
_HEAD_BYTES = 512
_ASKED = "send a JPEG, PNG, WebP, AVIF or GIF"


class Picture(msgspec.Struct, frozen=True):
    """One encoded copy: its size in pixels and its bytes."""

    width: int
    height: int
    encoded: bytes


def sniffed(stream: BinaryIO) -> str:
    """The kind of picture that the first bytes show. Raises BadInput for any that is not taken."""
    stream.seek(0)
    head = stream.read(_HEAD_BYTES)
    if not head:
        raise BadInput("the file is empty; send it again")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return _sniffed_brand(head)
    for magic, kind in _TAKEN.items():
        if head.startswith(magic):
            return kind
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    kind = next((kind for magic, kind in _NOT_TAKEN.items() if text.startswith(magic)), "no picture that we know")
    raise BadInput(f"its content is {kind}, whatever its name says; {_ASKED}")


def planned(
    size: tuple[int, int], widths: Sequence[int], *, max_side: int, max_pixels: int = MAX_OUTPUT_PIXELS
) -> list[tuple[int, int]]:
    """Sizes (width, height) to make of a picture of `size`, widest first, each once, none larger than it.

    Every height comes from the original: to derive it from the next larger copy would add up rounding errors. A copy
    that would be higher than `max_side`, which is the most that its format holds, is made narrower.
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
    """Raise BadInput for more bytes than the decoder of this kind may hold, before it is given one."""
    if kind == "GIF" and size_bytes > MAX_GIF_BYTES:
        raise BadInput(f"it has {size_bytes:,} bytes, over the cap of {MAX_GIF_BYTES:,} for a GIF; send a video")


def check_header(kind: str, pixels: int, *, frames: int, interlaced: bool, rich: bool = False) -> None:
    """Raise BadInput when what the header announces is over a cap: before anything is decoded."""
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


def _sniffed_brand(head: bytes) -> str:
    """The kind of an ISO media file, by its first brand and those that it is compatible with."""
    size_bytes = min(len(head), int.from_bytes(head[:4], "big"))
    first, *others = [head[8:12], *(head[at : at + 4] for at in range(16, size_bytes, 4))]
    brands = (first, *others) if first in _HEIF_BRANDS else (first,)
    if any(one in _HEIC_BRANDS for one in brands):
        raise BadInput(f"its content is HEIC, whose codec is not part of this build; {_ASKED}")
    if any(one in _AVIF_BRANDS for one in brands) or first in _HEIF_BRANDS:
        return "AVIF"
    raise BadInput(f"its content is a film or a sound (ISO media, brand {first!r}); {_ASKED}")
