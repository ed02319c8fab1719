"""Examples: each folder runs as its README says."""

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
def test_a_celery_project_changes_one_line_and_100_mib_come_back(page):
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


def run(page, example):
    for file in (EXAMPLES / example).glob("*.py"):
        shutil.copy(file, page.folder)
    return page.run(f"examples/{example}/README.md")[-1]


def test_every_example_is_tested_and_explains_itself():
    assert sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir()) == [
        "celery_one_line",
        "celery_streams",
        "plain",
    ]
    for file in EXAMPLES.rglob("*.py"):
        assert file.read_text().startswith('"""')
