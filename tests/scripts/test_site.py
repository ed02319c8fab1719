"""The documentation site is built strictly from docs/, with the navigation of docs/index.md."""

import re
import shutil
from pathlib import Path

import pytest

from build_site import build_site

ROOT = Path(__file__).resolve().parents[2]
FENCE_WORDS = re.compile(r"```\w+ (background|elsewhere)")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("zensical.toml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_site_shows_every_page(checkout):
    site = build_site(checkout)

    assert site is not None
    sources = {page.relative_to(checkout / "docs").with_suffix("") for page in (checkout / "docs").rglob("*.md")}
    assert sources - {page.relative_to(site).with_suffix("") for page in site.rglob("*.html")} == set()
    assert [page.name for page in site.rglob("*.html") if FENCE_WORDS.search(page.read_text())] == []


def test_navigation_lists_every_how_to(checkout):
    site = build_site(checkout)

    assert site is not None
    home = (site / "index.html").read_text()
    how_tos = [page.name for page in (checkout / "docs" / "how-to").glob("*.md")]
    assert [name for name in how_tos if home.count(f"how-to/{name.removesuffix('.md')}.html") < 2] == []


def test_links_outside_docs_lead_to_the_repository(checkout):
    with (checkout / "docs" / "how-to" / "page.md").open("a") as page:
        page.write("\n[an example](../../examples/plain/README.md#run)\n")

    site = build_site(checkout)

    assert site is not None
    assert "/blob/main/examples/plain/README.md#run" in (site / "how-to" / "page.html").read_text()


@pytest.mark.parametrize("link", ["how-to/missing.md", "glossary.md#missing"])
def test_broken_link_fails_the_build(checkout, link):
    with (checkout / "docs" / "tutorial.md").open("a") as page:
        page.write(f"\n[broken]({link})\n")

    assert build_site(checkout) is None
