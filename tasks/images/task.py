"""Images: smaller copies of a picture, each an Artifact of the task's Result."""

import importlib
from collections.abc import Iterator, Sequence
from typing import Annotated, BinaryIO, Literal, Protocol, cast

from pydantic import Field

from resultstore import Artifact, BadInput, Store
from resultstore.backends.celery import store_of
from tasks.app import app
from tasks.arguments import checked, file_stem, naming
from tasks.images.formats import MEDIA_TYPES, SUFFIXES, Picture

MAX_WIDTH = 8192
MAX_SIZES = 12
MAX_INPUT_BYTES = 256 * 1024 * 1024
TIME_LIMIT_S = 120

Width = Annotated[int, Field(strict=True, ge=1, le=MAX_WIDTH)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=MAX_SIZES)]
Format = Literal["webp", "jpeg", "avif"]


class Copies(Protocol):
    """What makes the copies: see `tasks.images.vips.copies`."""

    def __call__(self, stream: BinaryIO, widths: Sequence[int], *, format: str) -> Iterator[Picture]:
        """Copies of the picture in `stream`, narrowest first."""


@app.task(name="images.resize", time_limit=TIME_LIMIT_S)
@checked
def resize(source: Artifact, widths: Widths = (1600, 800, 200), format: Format = "webp") -> list[Artifact]:
    """Make copies of a picture in several widths.

    Args:
        source: a JPEG, PNG, WebP, AVIF or GIF (its first frame) of up to 256 MiB.
        widths: in pixels, 1 to 8192, at most 12 of them; none is made larger than the picture itself.
        format: what the copies are encoded as. WebP holds sides of up to 16,383 pixels, AVIF of 16,384: a copy that
            would be higher is made narrower.

    Returns the copies, widest first, named `<name>-<width>.<suffix>`, with `width` and `height` in their metadata. They
    are made the other way round: a small one is there to be looked at while the large ones are still encoded.

    Raises BadInput for a picture that is damaged, of another type, or over a cap.
    """
    store = store_of(app)
    with naming("image", source):
        check_size(source)
        with store.open(source) as stream:
            return _keep_copies(store, source, stream=stream, widths=widths, format=format)


def check_size(source: Artifact) -> None:
    """Raise BadInput when `source` is more than a picture may be, before a byte of it is read."""
    if source.size_bytes > MAX_INPUT_BYTES:
        raise BadInput(f"it has {source.size_bytes:,} bytes, over the cap of {MAX_INPUT_BYTES:,}; send a smaller one")


def engine() -> Copies:
    """`vips.copies`, loaded at the first picture and so in the child that Celery forked, never in its parent.

    This is the one place that imports late: libvips must not be loaded before a fork.
    """
    return cast("Copies", importlib.import_module("tasks.images.vips").copies)


def _keep_copies(store: Store, source: Artifact, *, stream: BinaryIO, widths: Widths, format: Format) -> list[Artifact]:
    stem = file_stem(source, "image")
    kept: list[Artifact] = []
    store.progress(0, len(widths), "decoding")
    for picture in engine()(stream, widths, format=format):
        kept.append(
            store.put(
                picture.encoded,
                name=f"{stem}-{picture.width}{SUFFIXES[format]}",
                media_type=MEDIA_TYPES[format],
                metadata={"width": picture.width, "height": picture.height},
            )
        )
        store.progress(len(kept), len(widths), f"{picture.width} px")
    return kept[::-1]
