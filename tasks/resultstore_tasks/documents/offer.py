"""Offer of `pdf.cover`."""

from typing import Annotated, Final

from pydantic import Field

from resultstore import Options
from resultstore_tasks.declaration import MIB, ShippedOffer


class Cover(Options):
    """Of `pdf.cover`."""

    width: Annotated[int, Field(title="Width in pixels", strict=True, ge=64, le=2000)] = 800
    """Width of the picture in pixels, 64 to 2000."""


COVER: Final = ShippedOffer(
    task="pdf.cover",
    title="Cover of a PDF",
    description="The first page as a picture, and how many pages there are.",
    takes=("application/pdf",),
    max_bytes=256 * MIB,
    arguments=Cover,
    position=20,
)
