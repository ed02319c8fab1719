"""Offer of `video.preview`."""

from typing import Annotated, Final, Literal

from pydantic import Field

from resultstore import Options
from resultstore_tasks.declaration import MIB, ShippedOffer


class Preview(Options):
    """Of `video.preview`."""

    seconds: Annotated[float, Field(title="Length in seconds", ge=1, le=60)] = 10
    """Length of the preview, 1 to 60 seconds from the beginning."""

    width: Annotated[int, Field(title="Width in pixels", strict=True, ge=64, le=1920)] = 640
    """Width of poster and preview in pixels, 64 to 1920. Neither is made larger than the video."""

    format: Annotated[Literal["mp4", "webm"], Field(title="Format")] = "mp4"
    """Format of the preview."""


PREVIEW: Final = ShippedOffer(
    task="video.preview",
    title="Preview of a video",
    description="A still picture, and a short, small version to watch.",
    takes=("video/mp4", "video/quicktime", "video/3gpp", "video/3gpp2", "video/webm", "video/x-matroska"),
    max_bytes=2048 * MIB,
    arguments=Preview,
    position=30,
)
