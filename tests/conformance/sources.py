"""Sources: the tests that Celery and Dramatiq ship with their source distributions, brought here by pip."""

import re
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

FETCH_LIMIT_S = 120
ROOT = Path(__file__).resolve().parents[2]


class Unavailable(Exception):
    """The tests cannot be had, or are not those of what is installed; the message says what to do."""


def celery_suite(cache: Path) -> Path:
    """Return the folder that holds `t/` of the installed Celery: fetched once, then kept below `cache`.

    Raises Unavailable.
    """
    # Not the `celery` package beside them: the installed one is under test.
    return _kept(f"celery-{version('celery')}", ("t", "pyproject.toml"), cache=cache)


def dramatiq_tests(cache: Path) -> Path:
    """Dramatiq's file of tests of result backends, of the version that is installed. Raises Unavailable."""
    name = "tests/test_results.py"
    return _kept(f"dramatiq-{version('dramatiq')}", (name,), cache=cache) / name


def _kept(release: str, wanted: tuple[str, ...], *, cache: Path) -> Path:
    folder = cache / release
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as draft:
            unpacked = _unpacked(_downloaded(release, Path(draft)), release, wanted)
            try:
                unpacked.rename(folder)
            except OSError:
                if not folder.exists():  # another run was quicker
                    raise
    return folder


def pinned(release: str, pins: str) -> str:
    """Return the line of `pins` for this release, with its hashes: what is fetched here is run. Raises Unavailable."""
    project, _, number = release.rpartition("-")
    found = re.search(rf"(?m)^{re.escape(project)}=={re.escape(number)}(?: \\\n *--hash=\S+)+", pins)
    if found is None:
        raise Unavailable(
            f"{release} is installed and not in constraints.txt or constraints/: make conformance installs what is"
        )
    return found[0] + "\n"


def all_pins() -> str:
    """Return the text of constraints.txt and of the lists of other versions."""
    files = [ROOT / "constraints.txt", *sorted((ROOT / "constraints").glob("*.txt"))]
    return "".join(file.read_text() for file in files)


def _downloaded(release: str, folder: Path) -> Path:
    project = release.rpartition("-")[0]
    wanted = folder / "wanted.txt"
    wanted.write_text(pinned(release, all_pins()))
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    source = ["--no-deps", f"--no-binary={project}", "--require-hashes", f"--dest={folder}", f"--requirement={wanted}"]
    if subprocess.run([*pip, *source], check=False, timeout=FETCH_LIMIT_S).returncode:
        raise Unavailable(f"pip could not fetch the source of {release}: see its output above, and pip's own settings")
    [archive] = folder.glob("*.tar.gz")
    return archive


def _unpacked(archive: Path, release: str, wanted: tuple[str, ...]) -> Path:
    with tarfile.open(archive) as source:
        paths = tuple(f"{release}/{name}" for name in wanted)
        members = [one for one in source if one.name in paths or one.name.startswith(tuple(f"{w}/" for w in paths))]
        # What `filter="data"` would see to, which Python has only since 3.11.4: nothing leads out of the folder.
        if odd := [one.name for one in members if not (one.isfile() or one.isdir()) or ".." in Path(one.name).parts]:
            raise Unavailable(f"{release} holds what is neither a file nor a folder of its own: {odd[:3]}")
        source.extractall(archive.parent, members=members)
    return archive.parent / release
