"""Smaller copies of a picture, made by libvips.

Import this only in a process that does not fork afterwards: libvips starts threads, and a child that inherits its
locks hangs (2 of 12 did). `resultstore_tasks.images.task.engine` is the only importer.
"""

import io
import os
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

import pyvips

from resultstore import BadInput
from resultstore_tasks.images import cicp, vips_colors
from resultstore_tasks.images.cicp import Cicp
from resultstore_tasks.images.formats import (
    MAX_OUTPUT_PIXELS,
    MAX_RICH_OUTPUT_PIXELS,
    MAX_SIDES,
    SUFFIXES,
    Picture,
    check_header,
    check_size,
    plan_sizes,
    sniff,
)

# One thread for each picture: the worker has a process for each core. It also halves the memory of a long-lived one.
pyvips.concurrency_set(1)
# Cached operations are never used again, and would hold decoded pixels.
pyvips.cache_set_max(0)
# CVE-2026-66066: block what libvips calls untrusted, and of the rest all loaders that are not named here.
pyvips.block_untrusted_set(True)  # noqa: FBT003 - libvips' own signature
pyvips.operation_block_set("VipsForeignLoad", True)  # noqa: FBT003
for _loader in ("Jpeg", "Png", "Webp", "Heif", "Nsgif"):
    pyvips.operation_block_set(f"VipsForeignLoad{_loader}", False)  # noqa: FBT003

_SAVE_OPTIONS: dict[str, dict[str, object]] = {
    "webp": {"Q": 80, "effort": 4, "smart_subsample": True},
    "jpeg": {"Q": 82, "optimize_coding": True, "interlace": True, "background": 255},
    # Effort 1 against 4: an eighth to a tenth of the CPU for 10 % more bytes (two photos of 1,200 pixels, Q 55).
    "avif": {"Q": 60, "effort": 1, "compression": "av1"},
}


_NO_END = "premature end of JPEG image"  # libvips/foreign/jpeg2vips.c


_END = b"\xff\xd9"
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_LAST_BYTES = 4 * 1024 * 1024
# Random coded bits, and their complements: the first missing bit is 1 in one of them, and 0 in the other.
_BITS = [bytes.fromhex(one) for one in ("b5694bd2a7593e86c96d1b72e4952d5a", "8d26f14c5ea3907b3ce81d62b94a75d0")]
_BITS += [bytes(byte ^ 0xFF for byte in one) for one in _BITS]


class _EndMissing(BadInput):
    """The JPEG ends before its end marker."""


class _WithEnd(io.RawIOBase):
    """JPEG stream with further bytes appended that end it."""

    def __init__(self, stream: BinaryIO, end: bytes = _END) -> None:
        super().__init__()
        self._stream = stream
        self._end = end
        self._size_bytes = stream.seek(0, os.SEEK_END)
        self._at = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position. Raises ValueError for one before the beginning."""
        end = self._size_bytes + len(self._end)
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: end}[whence]
        if at < 0:
            raise ValueError(f"cannot seek to {at}")
        self._at = at
        return at

    def read(self, size: int = -1) -> bytes:
        """Return at most `size` bytes."""
        if self._at < self._size_bytes:
            self._stream.seek(self._at)
            some = self._stream.read(size)
        else:
            start = self._at - self._size_bytes
            some = self._end[start : None if size < 0 else start + size]
        self._at += len(some)
        return some


class _Feed:
    """Source of libvips that reads a stream, and keeps the stream's error, which libvips would hide."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.error: Exception | None = None
        # libvips calls a source's callbacks even after its last Python reference is gone: keep it alive.
        self._alive: list[pyvips.SourceCustom] = []

    def source(self) -> pyvips.SourceCustom:
        """Return a libvips source that reads the stream from its beginning."""
        self._stream.seek(0)
        made = pyvips.SourceCustom()
        made.on_read(self._read)
        made.on_seek(self._seek)
        self._alive.append(made)
        return made

    def opened(self) -> pyvips.Image:
        """Open the picture; its pixels are decoded when they are needed."""
        return pyvips.Image.new_from_source(self.source(), "", access="sequential", fail_on="error")

    def _read(self, size_bytes: int) -> bytes | None:
        try:
            return self._stream.read(size_bytes)
        except Exception as error:  # noqa: BLE001 - no exception passes through libvips; `_TranslateErrors` raises it again
            self.error = error
            return None

    def _seek(self, offset: int, whence: int) -> int:
        try:
            return self._stream.seek(offset, whence)
        except ValueError:  # before the beginning: the picture is damaged
            return -1
        except Exception as error:  # noqa: BLE001 - the same
            self.error = error
            return -1


def copies(stream: BinaryIO, widths: Sequence[int], *, format: str) -> Iterator[Picture]:
    """Yield copies of the picture in `stream`, narrowest first; at most one and the widest are in memory.

    A small copy can be shown while the large ones are still encoded, which takes the longest.

    A copy is never wider than the picture: widths beyond it become the picture's own, once. Heights follow from
    the original's proportions, upright as its EXIF orientation says. Nothing of its metadata (place, camera, colour
    profile) is kept; colours are converted to sRGB first.

    Args:
        stream: seekable; read from its beginning.
        widths: in pixels.
        format: a key of `MEDIA_TYPES`.

    Raises BadInput with the reason and the remedy when the picture is damaged, of a type that is not taken, or over
    a cap. What the stream itself raises passes through.
    """
    kind = sniff(stream)
    check_size(kind, stream.seek(0, os.SEEK_END))
    colors = cicp.read_cicp(stream, kind)
    feed = _Feed(stream)
    with _TranslateErrors(feed):
        header = feed.opened()
        interlaced = header.get_typeof("interlaced") != 0 and bool(header.get("interlaced"))
        pixels, frames = header.width * header.height, header.get_n_pages()
        rich = kind == "GIF" or frames > 1 or header.hasalpha() or header.format == "ushort"
        check_header(kind, pixels, frames=frames, interlaced=interlaced, rich=rich)
        most = MAX_RICH_OUTPUT_PIXELS if format != "jpeg" and header.hasalpha() else MAX_OUTPUT_PIXELS
        sizes = plan_sizes(_upright_size(header), widths, max_side=MAX_SIDES[format], max_pixels=most)
    if header.get_typeof("icc-profile-data"):
        colors = None  # the profile is more exact
    for some in _decode_groups(kind, sizes):
        try:
            widest = _shrink(feed, some[0], colors)
        except _EndMissing:
            if interlaced:  # its last scans may be missing altogether
                raise
            feed = _complete_jpeg(stream)
            widest = _shrink(feed, some[0], colors)
        for width, height in reversed(some):
            copy = widest.thumbnail_image(width, height=height, size="force")
            yield Picture(width, height, copy.write_to_buffer(SUFFIXES[format], keep="none", **_SAVE_OPTIONS[format]))


def _complete_jpeg(stream: BinaryIO) -> _Feed:
    """Return the JPEG with an end marker. Raises BadInput if anything else is missing.

    A decoder makes up missing pixels with only a warning. So the file is decoded twice, with different bits after its
    last byte: all pixels are equal only if none of those bits was needed.
    """
    ended = _Feed(cast("BinaryIO", _WithEnd(stream)))
    following = _next_restart(stream)
    stream.seek(-1, os.SEEK_END)
    first = b"\0" if stream.read(1) == b"\xff" else b""  # otherwise it would begin a marker
    for bits in _BITS:
        # The same bits after each marker that may come next (ITU-T T.81, B.2.1), in their order.
        marked = b"".join(bytes([0xFF, 0xD0 + (following + number) % 8]) + bits * 4 for number in range(8))
        longer = _Feed(cast("BinaryIO", _WithEnd(stream, first + bits * 4 + marked + _END)))
        with _TranslateErrors(ended), _TranslateErrors(longer):
            if (ended.opened() - longer.opened()).abs().max():
                raise BadInput("it is damaged or cut short; send the whole file")
    return ended


def _next_restart(stream: BinaryIO) -> int:
    """Return the number of the restart marker that would follow the last one."""
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LAST_BYTES))
    last = b""
    for found in _RESTART.finditer(stream.read(_LAST_BYTES)):
        last = found[1]
    return (last[0] - 0xD0 + 1) % 8 if last else 0


def _decode_groups(kind: str, sizes: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Return the sizes (widest first) in groups, each of which takes one decode.

    A JPEG can be decoded at an eighth of its size in a third of the time (24 megapixels: 0.11 of 0.31 CPU-s, where
    all copies take 0.9). So its narrowest copy is made first and alone, because a user is waiting to see it.
    """
    return [sizes[-1:], sizes[:-1]] if kind == "JPEG" and len(sizes) > 1 else [sizes]


class _TranslateErrors:
    """Context that translates errors of libvips into BadInput, and raises the stream's own error unchanged."""

    def __init__(self, feed: _Feed) -> None:
        self._feed = feed

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._feed.error is not None:
            raise self._feed.error
        if isinstance(error, pyvips.Error):
            raise (_EndMissing if _NO_END in str(error) else BadInput)(
                f"it cannot be decoded ({_cause(error)}): it is damaged or cut short; send the whole file"
            ) from error


def _shrink(feed: _Feed, size: tuple[int, int], colors: Cicp | None) -> pyvips.Image:
    """Return the picture in sRGB at this size, scaled down while it is read."""
    with _TranslateErrors(feed):
        if colors is not None and not colors.is_usual:
            return _shrink_and_tone_map(feed, size, colors)
        # The argument `fail_on` is accepted here and ignored (libvips issue 5195): half a file would give a plausible
        # picture. As a loader's option it works.
        return pyvips.Image.thumbnail_source(
            feed.source(),
            size[0],
            height=size[1],
            size="force",
            output_profile="srgb",
            option_string="fail_on=error",
        ).copy_memory()


def _shrink_and_tone_map(feed: _Feed, size: tuple[int, int], colors: Cicp) -> pyvips.Image:
    image = feed.opened()
    width, height = size if _upright_size(image) == (image.width, image.height) else size[::-1]
    small = image.resize(width / image.width, vscale=height / image.height).copy_memory()
    return vips_colors.to_srgb(small, colors).autorot().copy_memory()


def _upright_size(header: pyvips.Image) -> tuple[int, int]:
    # EXIF orientations 5 to 8 are rotated by 90 degrees (EXIF 2.32, tag 0x0112).
    sideways = header.get_typeof("orientation") != 0 and header.get("orientation") in range(5, 9)
    return (header.height, header.width) if sideways else (header.width, header.height)


def _cause(error: pyvips.Error) -> str:
    # libvips lists the messages of all layers, the probing of a short stream included; the last ones name the cause.
    lines = [line for line in str(error.detail).splitlines() if line.strip() and "bad seek" not in line]
    return " ".join(" ".join(lines[-2:]).split())[:160] or "it ends too early"
