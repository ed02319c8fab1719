"""Documents: the cover of a PDF, as a picture."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from pydantic import Field

from resultstore import Artifact, BadInput
from resultstore.backends.celery import store_of
from tasks.app import app
from tasks.arguments import checked, file_stem, naming
from tasks.documents import pdf_cover
from tasks.sandbox.confined import Bounds, check_made, python, run, workplace

MAX_INPUT_BYTES: Final = 256 * 1024 * 1024
MAX_PAGES: Final = 5_000
MAX_COVER_BYTES: Final = 64 * 1024 * 1024
TIME_LIMIT_S: Final = 120
BOUNDS: Final = Bounds(memory_mib=1024, cpu_s=20, wall_s=40, written_mib=64)

Width = Annotated[int, Field(strict=True, ge=64, le=2000)]


class DrawnCover(msgspec.Struct, frozen=True):
    """What was drawn."""

    pages: int
    width: int
    height: int


@app.task(name="pdf.cover", time_limit=TIME_LIMIT_S)
@checked
def cover(source: Artifact, width: Width = 800) -> Artifact:
    """Draw the first page of a PDF.

    Args:
        source: a PDF of up to 5,000 pages and 256 MiB, not encrypted.
        width: of the picture in pixels.

    Returns a JPEG, with `pages`, `width` and `height` in its metadata.

    Raises BadInput for what is no PDF, damaged, encrypted, or over a cap.
    """
    store = store_of(app)
    with naming("document", source):
        if source.size_bytes > MAX_INPUT_BYTES:
            raise BadInput(
                f"it has {source.size_bytes:,} bytes, over the cap of {MAX_INPUT_BYTES:,}; send a smaller one"
            )
        with store.open(source) as stream, workplace(stream, name="document.pdf") as path:
            store.progress(0, 1, "drawing the cover")
            picture, drawn = drawn_cover(path, width=width)
            name = f"{file_stem(source, 'document')}-cover.jpg"
            facts = msgspec.structs.asdict(drawn)
            return store.put(picture, name=name, media_type="image/jpeg", metadata=facts)


def drawn_cover(path: Path, *, width: int) -> tuple[Path, DrawnCover]:
    """The first page of the PDF at `path`, drawn into a file beside it. Raises BadInput."""
    picture = path.with_name("cover.jpg")
    command = python(pdf_cover.__file__, path.name, picture.name, str(width), str(MAX_PAGES))
    answer = run(command, folder=path.parent, bounds=BOUNDS)
    check_made(picture, max_bytes=MAX_COVER_BYTES)
    return picture, msgspec.json.decode(answer, type=DrawnCover)
