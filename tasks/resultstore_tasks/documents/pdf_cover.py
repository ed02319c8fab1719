"""Program that draws the first page of a PDF: `pdf_cover.py FILE PICTURE WIDTH MAX_PAGES`.

It runs in the sandbox (resultstore_tasks/sandbox/confined.py): PDFium is written in C++, and reads untrusted files.
"""

import contextlib
import json
import sys

import pypdfium2

MAX_HEIGHT_RATIO = 4  # a higher page is cut at the bottom


def main() -> None:
    """Print the number of pages and the size of the picture. If the page cannot be drawn, exit with the reason."""
    path, picture, width, max_pages = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        reason = "it is encrypted" if "password" in str(error).lower() else "it is no PDF, or damaged"
        sys.exit(reason)
    with contextlib.suppress(pypdfium2.PdfiumError):  # damaged forms: the page is drawn without them
        document.init_forms()  # must precede the page count; this build of PDFium does not run scripts
    pages = len(document)
    if not 1 <= pages <= max_pages:
        sys.exit(f"it has {pages:,} pages; the cap is {max_pages:,}")
    page = document[0]
    page_width, page_height = page.get_size()
    if page_width < 1 or page_height < 1:
        sys.exit("its first page has no size")
    cut = max(0.0, page_height - MAX_HEIGHT_RATIO * page_width)
    drawn = page.render(scale=width / page_width, crop=(0, cut, 0, 0))
    drawn.to_pil().convert("RGB").save(picture, "JPEG", quality=85, optimize=True)
    print(json.dumps({"pages": pages, "width": drawn.width, "height": drawn.height}))  # noqa: T201 - this is its answer


if __name__ == "__main__":
    main()
