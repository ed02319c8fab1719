"""Every block of the tutorial and of the how-tos runs as shown."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Another machine's how-to: it needs a Docker engine, and its own test checks the compose file.
ELSEWHERE = {"run-with-compose.md"}
HOW_TOS = sorted(page.name for page in (ROOT / "docs" / "how-to").glob("*.md") if page.name not in ELSEWHERE)

pytestmark = pytest.mark.timeout(240)


def test_the_tutorial_runs(page):
    said = page.run("docs/tutorial.md")

    assert any("% month" in text for text in said)
    assert any("sales.csv" in text and "24 months" in text for text in said)
    assert said[-1].startswith("SUCCESS True ")


@pytest.mark.parametrize("name", HOW_TOS)
def test_the_how_to_runs(page, name):
    if name == "own-server.md":  # its app says itself where its results are
        del page.environment["CELERY_RESULT_BACKEND"]

    page.run(f"docs/how-to/{name}")


def test_every_how_to_is_listed():
    index = (ROOT / "docs" / "index.md").read_text()
    assert [name for name in HOW_TOS if f"how-to/{name}" not in index] == []
