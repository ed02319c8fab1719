"""Task `files.store_only`: keeps a file as it is, with a small preview where there is one."""

from pathlib import Path
from typing import Final

import msgspec

from resultstore import Artifact, BadInput, Store
from resultstore.backends.celery import store_of
from resultstore_tasks.app import app
from resultstore_tasks.arguments import check_size, file_stem, naming, offered
from resultstore_tasks.documents.offer import COVER
from resultstore_tasks.documents.task import draw_cover
from resultstore_tasks.images.formats import MEDIA_TYPES, SUFFIXES
from resultstore_tasks.images.offer import RESIZE
from resultstore_tasks.images.task import engine
from resultstore_tasks.sandbox.confined import workplace
from resultstore_tasks.store_only.offer import STORE_ONLY, StoreOnly

PREVIEW_WIDTH_PX: Final = 800


@offered(STORE_ONLY)
def store_only(source: Artifact, options: StoreOnly) -> list[Artifact]:  # noqa: ARG001 - it has none
    """Keep a file of any type as it is.

    An upload becomes part of the Result in place, without a copy; its sha256 is verified. A file of another Result is
    copied in a stream.

    Args:
        source: the file.
        options: none.

    Returns the copy, if one was made, and a preview named `<name>-preview.<suffix>` of a picture or a PDF. A picture or
    a PDF that cannot be drawn has no preview.
    """
    store = store_of(app)
    with naming("file", source):
        check_size(source, STORE_ONLY)
        kept = [] if source.id == app.current_task.request.id else [_copy(store, source)]
        preview = _preview(store, source)
    return kept if preview is None else [*kept, preview]


def _copy(store: Store, source: Artifact) -> Artifact:
    with store.open(source) as stream:
        return store.put(stream, name=source.file_name, media_type=source.media_type)


def _preview(store: Store, source: Artifact) -> Artifact | None:
    """Store a preview and return it; None if the file has none."""
    try:
        if source.media_type in RESIZE.takes and source.size_bytes <= RESIZE.max_bytes:
            return _thumbnail(store, source)
        if source.media_type in COVER.takes and source.size_bytes <= COVER.max_bytes:
            return _first_page(store, source)
    except BadInput:  # a damaged picture is a file too
        return None
    return None


def _thumbnail(store: Store, source: Artifact) -> Artifact:
    with store.open(source) as stream:
        [picture] = engine()(stream, [PREVIEW_WIDTH_PX], format="webp")
    name = f"{file_stem(source, 'file')}-preview{SUFFIXES['webp']}"
    size = {"width": picture.width, "height": picture.height}
    return store.put(picture.encoded, name=name, media_type=MEDIA_TYPES["webp"], metadata={"role": "preview", **size})


def _first_page(store: Store, source: Artifact) -> Artifact:
    with store.open(source) as stream, workplace(stream, name="document.pdf") as path:
        drawn, cover = draw_cover(Path(path), width=PREVIEW_WIDTH_PX)
        metadata = {"role": "preview", **msgspec.structs.asdict(cover)}
        name = f"{file_stem(source, 'file')}-preview.jpg"
        return store.put(drawn, name=name, media_type="image/jpeg", metadata=metadata)
