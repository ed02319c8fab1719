"""Task `images.resize`: smaller copies of a picture, each an Artifact of the task's Result."""

import importlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Protocol, cast

from resultstore import Artifact, Store
from resultstore.backends.celery import store_of
from resultstore_tasks.app import app
from resultstore_tasks.arguments import check_size, file_stem, naming, offered
from resultstore_tasks.images.formats import MEDIA_TYPES, SUFFIXES, Picture
from resultstore_tasks.images.offer import RESIZE, Resize


class Copies(Protocol):
    """Signature of `resultstore_tasks.images.vips.copies`."""

    def __call__(self, stream: BinaryIO, widths: Sequence[int], *, format: str) -> Iterator[Picture]:
        """Yield copies of the picture in `stream`, narrowest first."""


@offered(RESIZE, time_limit_s=120)
def resize(source: Artifact, options: Resize) -> list[Artifact]:
    """Make copies of a picture in several widths.

    Args:
        source: a JPEG, PNG, WebP, AVIF or GIF (its first frame).
        options: see `resultstore_tasks.images.offer.Resize`.

    Returns the copies, widest first, named `<name>-<width>.<suffix>`, with `width` and `height` in their metadata.
    They are made narrowest first, so that a small copy can be shown while the large ones are still encoded.

    Raises BadInput for a picture that is damaged, of another type, or over a cap.
    """
    store = store_of(app)
    with naming("image", source):
        check_size(source, RESIZE)
        with store.open(source) as stream:
            return _keep_copies(store, source, stream, options)


def engine() -> Copies:
    """Return `vips.copies`, imported at the first picture: libvips must not be loaded before Celery forks."""
    return cast("Copies", importlib.import_module("resultstore_tasks.images.vips").copies)


def _keep_copies(store: Store, source: Artifact, stream: BinaryIO, options: Resize) -> list[Artifact]:
    stem = file_stem(source, "image")
    kept: list[Artifact] = []
    store.progress(0, len(options.widths), "decoding")
    for picture in engine()(stream, options.widths, format=options.format):
        kept.append(
            store.put(
                picture.encoded,
                name=f"{stem}-{picture.width}{SUFFIXES[options.format]}",
                media_type=MEDIA_TYPES[options.format],
                metadata={"width": picture.width, "height": picture.height},
            )
        )
        store.progress(len(kept), len(options.widths), f"{picture.width} px")
    return kept[::-1]
