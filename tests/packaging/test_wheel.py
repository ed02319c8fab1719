"""What the wheel installs, and that it works with nothing but what it requires."""

import subprocess
import sys
import zipfile
from importlib.metadata import version

from tests.packaging.conftest import REPOSITORY

OURS = {"resultstore", "resultstore_tasks"}


def sources(folder: str) -> set[str]:
    """Every file of a folder that is in the repository, or that nothing keeps from being added to it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", folder]
    names = subprocess.check_output(command, cwd=REPOSITORY, text=True).splitlines()
    return {name for name in names if (REPOSITORY / name).is_file()}


def test_wheel_holds_only_names_we_own(wheel):
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}

    assert names == OURS | {f"resultstore-{version('resultstore')}.dist-info"}


def test_wheel_holds_every_file_of_the_packages(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.partition("/")[0] in OURS}

    assert packed == sources("resultstore") | {name.removeprefix("tasks/") for name in sources("tasks")}


def test_installed_wheel_can_be_imported(environment):
    program = (
        "import importlib.util, resultstore, sys; print(resultstore.__file__);"
        "print([name for name in ('tasks', 'tests', 'scripts', 'hatch_build') if importlib.util.find_spec(name)])"
    )

    done = subprocess.run(
        [environment / "python", "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    place, found = done.stdout.splitlines()
    assert place.startswith(str(environment.parent))
    assert found == "[]"


def test_installed_command_shows_help_and_version(environment, tmp_path):
    shown = {
        option: subprocess.run(
            [environment / "resultstore", option],
            cwd=tmp_path,
            env={"PATH": str(environment), "COLUMNS": "100"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for option in ("--help", "--version")
    }

    assert "doctor" in shown["--help"]
    assert shown["--version"].strip() == version("resultstore")


def test_constraints_fit_what_the_wheel_requires(environment, wheel):
    options = ["--dry-run", "--no-index", "--constraint", str(REPOSITORY / "constraints-pip.txt")]
    command = [sys.executable, "-m", "pip", "--python", str(environment / "python"), "install", *options]

    done = subprocess.run([*command, f"{wheel}[cli]"], capture_output=True, text=True, check=False, timeout=100)

    assert done.returncode == 0, done.stderr
    assert "httpx" in done.stdout


def test_missing_extra_is_named(environment, tmp_path):
    done = subprocess.run(
        [environment / "resultstore", "worker"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert "pip install 'resultstore[celery,tasks]'" in done.stderr
