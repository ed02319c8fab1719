"""The committed reference is the one that `make docs` makes."""

from pathlib import Path

import _pages


def test_committed_reference_is_current():
    committed = {page.name: page.read_text() for page in _pages.FOLDER.glob("*.md")}
    made = _pages.pages()

    stale = sorted(name for name in made.keys() | committed.keys() if made.get(name) != committed.get(name))
    assert stale == [], "run `make docs` and commit what it writes"


def test_every_page_is_listed_with_unique_headings():
    made = _pages.pages()

    for name, text in made.items():
        assert name == "index.md" or f"]({name})" in made["index.md"]
        headings = [line for line in text.splitlines() if line.startswith("## ")]
        assert len(headings) == len(set(headings))


def test_every_public_name_is_described():
    face = (Path(_pages.ROOT) / "resultstore" / "__init__.py").read_text()
    everything = "\n".join(_pages.pages().values())
    names = [line.strip(' ",') for line in face.partition("__all__ = [")[2].splitlines() if line.startswith('    "')]

    assert len(names) > 20
    assert [name for name in names if name not in everything] == []
