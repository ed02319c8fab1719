"""The committed reference is the one that `make docs` makes."""

import inspect
from pathlib import Path

import pytest

import _pages
from resultstore import Store


@pytest.fixture(scope="module")
def made():
    return _pages.pages()


def test_committed_reference_is_current(made):
    committed = {page.name: page.read_text() for page in _pages.FOLDER.glob("*.md")}

    stale = sorted(name for name in made.keys() | committed.keys() if made.get(name) != committed.get(name))
    assert stale == [], "run `make docs` and commit what it writes"


def test_every_page_is_listed_with_unique_headings(made):

    for name, text in made.items():
        assert name == "index.md" or f"]({name})" in made["index.md"]
        headings = [line for line in text.splitlines() if line.startswith("## ")]
        assert len(headings) == len(set(headings))


def test_every_public_name_is_described(made):
    face = (Path(_pages.ROOT) / "resultstore" / "__init__.py").read_text()
    everything = "\n".join(made.values())
    names = [line.strip(' ",') for line in face.partition("__all__ = [")[2].splitlines() if line.startswith('    "')]

    assert len(names) > 20
    assert [name for name in names if name not in everything] == []


def test_every_store_method_shows_its_signature(made):
    entries = _entries(made["store.md"], "Store")
    promised = {name: getattr(Store, name) for name in dir(Store) if not name.startswith("_")}
    methods = {name: one for name, one in promised.items() if inspect.isfunction(one)}

    assert len(methods) > 25
    assert [name for name in methods if name not in entries] == []
    assert [name for name in methods if not entries[name].startswith(f"```python\n{name}(")] == []
    for name, method in methods.items():
        shown = entries[name].partition("```\n")
        assert [one for one in list(inspect.signature(method).parameters)[1:] if one not in shown[0]] == [], name
        assert inspect.cleandoc(method.__doc__ or "-").partition("\n")[0] in shown[2], name


def _entries(page: str, noun: str) -> dict[str, str]:
    """Return the text below each heading of the noun."""
    below = page.partition(f"\n## {noun}\n")[2].partition("\n## ")[0]
    parts = (part.partition("\n\n") for part in below.split("\n### ")[1:])
    return {name: text for name, _, text in parts}
