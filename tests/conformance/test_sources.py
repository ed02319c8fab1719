"""The sources: whose tests are run."""

import tomllib
from pathlib import Path

import pytest
import sources
from sources import Unavailable, pinned

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
PINS = "celery==5.7.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\ncelery-types==1 \\\n    --hash=sha256:cc\n"


def test_fetched_source_must_match_the_installed_hashes():
    assert pinned("celery-5.7.0", PINS) == "celery==5.7.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"


@pytest.mark.parametrize("pins", ["", "celery==5.7.1 \\\n    --hash=sha256:aa\n", "celery==5.7.0\n"])
def test_release_without_pinned_hashes_is_not_fetched(pins):
    with pytest.raises(Unavailable, match=r"constraints\.txt"):
        pinned("celery-5.7.0", pins)


def test_unreachable_registry_is_reported_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    with pytest.raises(Unavailable, match=r"could not fetch the source of celery-"):
        sources.celery_suite(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_second_name_exists_in_these_runs_alone():
    installed = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]["celery.result_backends"]
    assert list(installed) == ["resultstore"]
