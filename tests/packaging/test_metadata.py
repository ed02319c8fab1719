"""The metadata of the distributions: addresses, author, classifiers, and a README whose links work anywhere."""

import re
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser

import pytest
from readme_renderer import markdown

from hatch_build import make_links_absolute
from tests.packaging.conftest import REPOSITORY

PLACE = "https://example.org/a/b"


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def addresses(metadata) -> dict[str, str]:
    return dict(one.split(", ") for one in metadata.get_all("Project-URL"))


@pytest.fixture(scope="module")
def links(metadata) -> list[str]:
    """The targets of all links and pictures of the README, as an index page shows it."""
    page = markdown.render(metadata.get_payload())
    assert page
    return re.findall(r'(?:href|src)="([^"]+)"', page)


def test_metadata_names_addresses_author_and_classifiers(metadata, addresses):
    assert addresses.keys() == {"Source", "Documentation", "Issues", "Changelog"}
    assert all(one.startswith(addresses["Source"]) and one.startswith("https://") for one in addresses.values())
    assert metadata["Author"]
    assert {"Framework :: Celery", "Typing :: Typed"} <= set(metadata.get_all("Classifier"))
    assert metadata.get_all("License-File") == ["LICENSE", "NOTICE"]


def test_both_distributions_have_equal_metadata(built, metadata):
    [source] = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        told = archive.extractfile(f"{source.name.removesuffix('.tar.gz')}/PKG-INFO").read().decode()

    assert Parser().parsestr(told).items() == metadata.items()


def test_links_of_the_readme_are_absolute(links):
    assert len(links) > 10
    assert [one for one in links if not one.startswith(("https://", "#"))] == []


def test_links_of_the_readme_lead_to_files(links, addresses):
    ours = [one.partition("#")[0] for one in links if one.startswith(f"{addresses['Source']}/")]

    assert len(ours) > 10
    paths = [re.sub(rf"^{re.escape(addresses['Source'])}/(?:blob|raw|tree)/main/", "", one) for one in ours]
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](docs/a.md#b)", f"[a]({PLACE}/blob/main/docs/a.md#b)"),
        ("![a](./docs/a.svg)", f"![a]({PLACE}/raw/main/docs/a.svg)"),
        ("[![a](a.png)](docs/a.md)", f"[![a]({PLACE}/raw/main/a.png)]({PLACE}/blob/main/docs/a.md)"),
        ('<img src="docs/a.png">', f'<img src="{PLACE}/raw/main/docs/a.png">'),
        ("[a](https://b.example/c)", "[a](https://b.example/c)"),
        ("[a](#b) [c](mailto:d@e.example)", "[a](#b) [c](mailto:d@e.example)"),
        ("`[a](b)`", "`[a](b)`"),
        ("```md\n[a](b)\n```\n[a](b)", f"```md\n[a](b)\n```\n[a]({PLACE}/blob/main/b)"),
    ],
)
def test_relative_links_become_absolute(text, expected):
    assert make_links_absolute(text, PLACE) == expected
