"""The distributions, as a release builds them, and an environment with only the wheel and what it requires."""

import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="package")
def built(tmp_path_factory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    return folder


@pytest.fixture(scope="package")
def wheel(built) -> Path:
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="package")
def environment(wheel, tmp_path_factory) -> Path:
    """The programs' folder of an environment in which `pip install resultstore[cli]` was run.

    The packages that the wheel requires are linked from this environment, so that no index is needed.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    python = folder / "bin/python"
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *install], check=True, timeout=100)
    [packages] = folder.glob("lib/python3*/site-packages")
    [metadata] = packages.glob("resultstore-*.dist-info")
    for one in set(required_by(Distribution.at(metadata), {"cli"})):
        link(distribution(one), packages)
    return python.parent


def required_by(dist: Distribution, extras: set[str]) -> Iterator[str]:
    """Give the names of all distributions that `pip install dist[extras]` brings besides it."""
    for text in dist.requires or []:
        wanted = Requirement(text)
        if not wanted.marker or any(wanted.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield wanted.name
            yield from required_by(distribution(wanted.name), wanted.extras)


def link(dist: Distribution, packages: Path) -> None:
    """Link the modules and the metadata of an installed distribution."""
    for top in {file.parts[0] for file in dist.files or [] if file.parts[0] not in {"..", "__pycache__"}}:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(str(dist.locate_file(top))))
