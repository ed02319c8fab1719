"""Builds the documentation site strictly into build/site (`make site`)."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# What our tests read after a fence's language; Markdown renderers of sites do not know such words.
FENCE = re.compile(r"(?m)^(```\w+) [^\n`]+$")
LINK = re.compile(r"\]\(((?:\.\./)+[^)#]+)")
ENTRY = re.compile(r"\[([^\]]+)\]\(([^)#:]+\.md)\)")


def main() -> int:
    """Build the site of this checkout; return 1 if a page, link or anchor is wrong."""
    site = build_site(ROOT)
    if site is None:
        return 1
    print(f"the site is in {site.relative_to(ROOT)}: open index.html, or serve the folder")
    return 0


def build_site(root: Path) -> Path | None:
    """Build the pages of `root`/docs; return the site's folder, or None if a page, link or anchor is wrong."""
    work, site = root / "build" / "site-source", root / "build" / "site"
    prepare_source(root, work)
    built = subprocess.run([Path(sys.executable).with_name("zensical"), "build", "--strict"], cwd=work, check=False)
    if built.returncode:
        return None
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(work / "site", site)
    return site


def prepare_source(root: Path, work: Path) -> None:
    """Write the site's configuration and pages, with fences that a site renders, into `work`."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(root / "docs", work / "docs")
    repository = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]["custom"][
        "repository"
    ]
    for page in (work / "docs").rglob("*.md"):
        text = FENCE.sub(r"\1", page.read_text())
        page.write_text(LINK.sub(partial(link_outside, page.parent, work, repository), text))
    settings = (root / "zensical.toml").read_text()
    navigation = f"[project]\nnav = {as_toml(read_navigation(root / 'docs'))}"
    (work / "zensical.toml").write_text(settings.replace("[project]", navigation, 1))


def link_outside(folder: Path, work: Path, repository: str, link: re.Match[str]) -> str:
    """Return the link, or one to the repository if its file is not below docs/."""
    target = (folder / link[1]).resolve()
    if target.is_relative_to(work / "docs"):
        return link[0]
    return f"]({repository}/blob/main/{target.relative_to(work)}"


def read_navigation(docs: Path) -> list[object]:
    """Return the navigation that index.md lists: pages, then one section for each group of how-tos."""
    sections: list[object] = [{"Home": "index.md"}]
    pages = sections
    for line in (docs / "index.md").read_text().splitlines():
        found = ENTRY.findall(line) if line.startswith("* ") else []
        if line and not line.startswith(("*", "#", " ")):
            pages = []
            sections.append({line: pages})
        for title, target in found:
            pages.append({title: read_folder(docs, target) if target.endswith("/index.md") else target})
    return sections


def read_folder(docs: Path, index: str) -> list[object]:
    """Return the pages that a folder's index.md lists, the index first."""
    folder = index.removesuffix("index.md")
    return [index, *({title: folder + target} for title, target in ENTRY.findall((docs / index).read_text()))]


def as_toml(value: object) -> str:
    """Return a list, dict or text as inline TOML."""
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {as_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
