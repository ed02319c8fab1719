"""The map and the glossary: every name in them exists, and every package and public noun is in them."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import _map
import resultstore
from resultstore import ResultStoreError

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "resultstore"
MAP = (ROOT / "docs" / "architecture.md").read_text()
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
CODE = re.compile(r"`([^`]+)`")
TOP = sorted(path.stem for path in PACKAGE.iterdir() if path.suffix in {"", ".py"} and not path.stem.startswith("__"))
NAMED = sorted({one for one in CODE.findall(MAP) if re.fullmatch(rf"(?:{'|'.join(TOP)})\.[\w.]+", one)})
PATHS = sorted(
    {one for one in CODE.findall(MAP) if re.fullmatch(r"(?:resultstore|tests|tasks|scripts|docs)/[\w./-]*", one)}
)
# Written by the packages themselves or by the standard library; not nouns of the product.
WORDS = {re.sub(r"\W", "", one).lower() for one in re.findall(r"\*\*([^*]+)\*\*", GLOSSARY)}


@cache
def members(path: Path) -> dict[str, ast.AST]:
    return _named(ast.parse(path.read_text()))


def _named(node: ast.AST) -> dict[str, ast.AST]:
    return {
        one.name: one for one in node.body if isinstance(one, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }


def _with_inherited(node: ast.AST, module: Path) -> dict[str, ast.AST]:
    """Return the methods of a class, with those of its base classes of the same module."""
    if not isinstance(node, ast.ClassDef):
        return {}
    bases = [members(module)[one.id] for one in node.bases if getattr(one, "id", "") in members(module)]
    return {name: one for base in bases for name, one in _with_inherited(base, module).items()} | _named(node)


def exists(name: str) -> bool:
    """Whether `name` leads from a package of resultstore to a module, and in it to a class, function or method."""
    parts, place = name.split("."), PACKAGE
    while parts and (place / parts[0]).is_dir():
        place /= parts.pop(0)
    if not parts:
        return True
    module = place / f"{parts.pop(0)}.py"
    if not module.is_file():
        return False
    known = members(module)
    for part in parts:
        if part not in known:
            return False
        known = _with_inherited(known[part], module)
    return True


def test_map_names_many_places():
    assert len(NAMED) > 40
    assert len(PATHS) > 10


@pytest.mark.parametrize("name", NAMED)
def test_name_on_the_map_exists(name):
    assert exists(name), f"docs/architecture.md names {name}: write its new name there"


@pytest.mark.parametrize("name", PATHS)
def test_path_on_the_map_exists(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize(
    "name", ["store.store.Store.no_such", "store.no_such", "blobs.s3.driver.NoSuch", "model.ids.id_of.x"]
)
def test_unknown_name_would_be_found(name):
    assert not exists(name)


def test_every_package_is_on_the_map():
    packages = {".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("__init__.py")} - {""}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    first_cells = {one for row in MAP.splitlines() if row.startswith("| `") for one in CODE.findall(row)}
    assert sorted((packages | modules) - first_cells) == []


def test_picture_is_what_the_script_draws():
    assert _map.PICTURE.read_text() == _map.picture(), "run `make docs` and commit what it writes"


def test_picture_shows_every_layer():
    assert all(f">{name}</text>" in _map.picture() for layer in _map.layers() for name in layer)


def public_nouns() -> set[str]:
    found = {name: getattr(resultstore, name) for name in resultstore.__all__}
    exported = {name for name, one in found.items() if isinstance(one, type) and not issubclass(one, ResultStoreError)}
    modules = [path for path in (PACKAGE / "model").glob("*.py") if path.stem != "errors"]
    defined = {name for path in modules for name, one in members(path).items() if isinstance(one, ast.ClassDef)}
    return exported | {name for name in defined if not name.startswith("_")}


def test_every_public_noun_is_in_the_glossary():
    missing = sorted(
        name for name in public_nouns() if name.lower().rstrip("s") not in {one.rstrip("s") for one in WORDS}
    )
    assert missing == []


def test_glossary_explains_each_word_once():
    words = re.findall(r"(?m)^\| \*\*([^*]+)\*\*", GLOSSARY)
    assert words == sorted(set(words), key=str.lower)


DOCUMENTS = sorted(
    {ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")}
    - set((ROOT / "docs/reference").glob("*.md"))
)
FILE = re.compile(r"`((?:[\w-]+/)+[\w-]+\.(?:py|lua|toml|json|conf))`")
# Files of other projects, and those that a run writes.
ELSEWHERE = ("celery/", "t/", "build/", "docs/", "tests/test_results.py")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_documents_name_exist(document):
    named = {one for one in FILE.findall(document.read_text()) if not one.startswith(ELSEWHERE)}
    missing = sorted(one for one in named if not (ROOT / one).exists() and not (PACKAGE / one).exists())
    assert missing == []
