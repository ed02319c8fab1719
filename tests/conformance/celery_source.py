"""Celery source: the test suite that Celery ships with its source distribution, brought here by pip."""

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

CELERY_VERSION = "5.7.0"
# Not the `celery` package beside them: the installed one is under test.
WANTED = ("t", "pyproject.toml")


class Unavailable(Exception):
    """The suite cannot be had, or is not the one of the installed Celery; the message says what to do."""


def suite(cache: Path) -> Path:
    """The folder that holds Celery's `t/`: fetched once, then kept below `cache`. Raises Unavailable."""
    if (installed := version("celery")) != CELERY_VERSION:
        raise Unavailable(f"the suite is of Celery {CELERY_VERSION}, installed is {installed}: change both together")
    folder = cache / f"celery-{CELERY_VERSION}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as draft:
            _unpacked(_downloaded(Path(draft))).rename(folder)
    return folder


def _downloaded(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    source = ["--no-deps", "--no-binary=celery", f"--dest={folder}", f"celery=={CELERY_VERSION}"]
    if subprocess.run([*pip, *source], check=False).returncode:
        raise Unavailable(f"pip could not fetch the source of Celery {CELERY_VERSION}; see its output above")
    [archive] = folder.glob("*.tar.gz")
    return archive


def _unpacked(archive: Path) -> Path:
    with tarfile.open(archive) as source:
        top = f"celery-{CELERY_VERSION}"
        wanted = tuple(f"{top}/{name}" for name in WANTED)
        members = [one for one in source if one.name in wanted or one.name.startswith(tuple(f"{w}/" for w in wanted))]
        source.extractall(archive.parent, members=members, filter="data")
    return archive.parent / top
