"""Offer of `images.resize`."""

from typing import Annotated, Final, Literal

from pydantic import Field

from resultstore import Options
from resultstore_tasks.declaration import MIB, ShippedOffer

Width = Annotated[int, Field(strict=True, ge=1, le=8192)]


class Resize(Options):
    """Of `images.resize`."""

    widths: Annotated[list[Width], Field(title="Widths in pixels", min_length=1, max_length=12)] = [1600, 800, 200]  # noqa: RUF012 - pydantic copies it
    """1 to 8192 pixels each, at most 12 of them. No copy is made larger than the picture itself."""

    format: Annotated[Literal["webp", "jpeg", "avif"], Field(title="Format")] = "webp"
    """Format of the copies. WebP holds sides of up to 16,383 pixels and AVIF of 16,384; higher copies are made
    narrower."""


RESIZE: Final = ShippedOffer(
    task="images.resize",
    title="Resize a picture",
    description="Copies in several widths, without GPS and other metadata.",
    takes=("image/jpeg", "image/png", "image/webp", "image/avif", "image/gif"),
    max_bytes=256 * MIB,
    arguments=Resize,
    position=10,
)
