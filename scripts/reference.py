"""Writes docs/reference/ and the picture of the layers (`make docs`)."""

import sys

import _map
from _pages import FOLDER, ROOT, pages


def main() -> int:
    """Write the pages and remove those that are no longer made."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for file, text in made.items():
        (FOLDER / file).write_text(text)
    _map.PICTURE.write_text(_map.picture())
    print(f"{len(made)} pages in {FOLDER.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
