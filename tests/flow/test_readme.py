"""The examples of the README run as shown, and every link of a document leads to a file."""

import re
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\]\(([^)#]*)#?[^)]*\)")


@pytest.mark.timeout(180)
def test_every_block_of_the_readme_runs(page):
    said = page.run("README.md")

    by_celery, without = (text for text in said if "b'" in text)
    name, media_type, size, sha256, url, line = by_celery.split()
    assert (name, media_type, line) == ("squares.csv", "text/csv", r"b'0,0\n'")
    expected = b"".join(b"%d,%d\n" % (n, n * n) for n in range(1_000_000))
    assert int(size) == len(expected)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == expected
    assert len(sha256) == 64
    assert without.endswith(r"b'0\n'" + "\n")


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", *DOCUMENTS])
def test_every_link_to_a_file_leads_somewhere(document):
    text = (ROOT / document).read_text()
    targets = [one for one in LINK.findall(text) if one and "://" not in one]
    missing = [one for one in targets if not ((ROOT / document).parent / one).exists()]
    assert missing == []
