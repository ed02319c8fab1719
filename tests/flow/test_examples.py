"""Each example runs as its README says."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def test_the_plain_example_runs_without_any_server(tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "plain" / "keep.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.endswith("the last prime below 100,000 is 99991\n")
    assert len(list((tmp_path / "results" / "seals").rglob("*"))) == 2


@pytest.mark.timeout(180)
def test_celery_project_returns_100_mib_after_one_line(page):
    said = run(page, "celery_one_line").splitlines()

    assert said[1] == "10 rows"
    assert said[2].startswith("100 MiB in ")
    assert said[3].startswith("SUCCESS in ")
    assert int(said[4].split()[2]) <= 300


@pytest.mark.timeout(180)
def test_the_celery_example_runs_through_a_real_worker(page):
    said = run(page, "celery_streams").splitlines()

    assert said[0].startswith("visits.log: ")
    assert said[1:4] == ["/page/0: 1177 visits", "/page/1: 1177 visits", "/page/2: 1177 visits"]
    assert [line.partition(":")[0] for line in said[4:7]] == ["part-0.gz", "part-1.gz", "part-2.gz"]
    assert said[7] == "3 days together: 60000 visits"


@pytest.mark.timeout(180)
def test_django_example_downloads_and_resends(page):
    del page.environment["CELERY_RESULT_BACKEND"]  # Celery would take it before the project's own setting
    page.environment["RESULTSTORE_INDEX_URL"] = page.environment["RESULTSTORE_INDEX_URL"].rsplit("/", 1)[0] + "/6"

    said = run(page, "django").splitlines()

    assert said == ["state: SUCCESS", "1027907 bytes from the object store", "listed: True", "again: SUCCESS"]


def run(page, example):
    shutil.copytree(EXAMPLES / example, page.folder, dirs_exist_ok=True)
    return page.run(f"examples/{example}/README.md")[-1]


def test_every_example_is_tested_and_explains_itself():
    assert sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir()) == [
        "celery_one_line",
        "celery_streams",
        "django",
        "plain",
    ]
    for file in EXAMPLES.rglob("*.py"):
        assert file.read_text().startswith('"""')
