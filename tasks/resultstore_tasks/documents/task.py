"""Task `pdf.cover`: the first page of a PDF as a picture."""

from pathlib import Path
from typing import Final

import msgspec

from resultstore import Artifact
from resultstore.backends.celery import store_of
from resultstore_tasks.app import app
from resultstore_tasks.arguments import check_size, file_stem, naming, offered
from resultstore_tasks.documents import pdf_cover
from resultstore_tasks.documents.offer import COVER, Cover
from resultstore_tasks.sandbox.confined import Bounds, check_made, python, run, workplace

MAX_PAGES: Final = 5_000
MAX_COVER_BYTES: Final = 64 * 1024 * 1024
BOUNDS: Final = Bounds(memory_mib=1024, cpu_s=20, wall_s=40, written_mib=64)


class DrawnCover(msgspec.Struct, frozen=True):
    """Number of pages of a document, and the size of its drawn cover in pixels."""

    pages: int
    width: int
    height: int


@offered(COVER, time_limit_s=120)
def cover(source: Artifact, options: Cover) -> Artifact:
    """Draw the first page of a PDF.

    Args:
        source: a PDF of up to 5,000 pages, not encrypted.
        options: see `resultstore_tasks.documents.offer.Cover`.

    Returns a JPEG, with `pages`, `width` and `height` in its metadata.

    Raises BadInput for what is no PDF, damaged, encrypted, or over a cap.
    """
    store = store_of(app)
    with naming("document", source):
        check_size(source, COVER)
        with store.open(source) as stream, workplace(stream, name="document.pdf") as path:
            store.progress(0, 1, "drawing the cover")
            picture, drawn = draw_cover(path, width=options.width)
            name = f"{file_stem(source, 'document')}-cover.jpg"
            facts = msgspec.structs.asdict(drawn)
            return store.put(picture, name=name, media_type="image/jpeg", metadata=facts)


def draw_cover(path: Path, *, width: int) -> tuple[Path, DrawnCover]:
    """Draw the first page of the PDF at `path` into a JPEG file next to it. Raises BadInput."""
    picture = path.with_name("cover.jpg")
    command = python(pdf_cover.__file__, path.name, picture.name, str(width), str(MAX_PAGES))
    answer = run(command, folder=path.parent, bounds=BOUNDS)
    check_made(picture, max_bytes=MAX_COVER_BYTES)
    return picture, msgspec.json.decode(answer, type=DrawnCover)
