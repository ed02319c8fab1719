"""Programs of other Debian releases, unpacked below build/ with all that they need, and not installed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from _access import Failed
from _install import locked
from _pins import ROOT

FOLDER = ROOT / "build" / "debian"
LIMIT_S = 900
# What Debian's scripts of RabbitMQ call.
SHELL = ("dash", "bash", "coreutils", "sed", "grep", "findutils", "mawk", "util-linux", "hostname", "procps")
# What the scripts of its packages would have written, which are not run.
ETC = {
    "hosts": "127.0.0.1 localhost\n",
    "nsswitch.conf": "hosts: files\n",
    "passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "group": "root:x:0:\n",
}
PYTHONS = {"3.14": "forky"}
LOADER = "usr/lib64/ld-linux-x86-64.so.2"
# For mirrors that are kept as they were on one day; the signatures are checked all the same.
OLD_MIRROR = 'Acquire::Check-Valid-Until "false"'


def unpacked(release: str, packages: Sequence[str]) -> Path:
    """Return the root of a release in which these packages are unpacked; apt checks the signatures. Raises Failed."""
    root = FOLDER / f"{release}-{packages[0]}"
    with locked(FOLDER / "lock"):
        return root if root.exists() else _unpack(root, release, packages)


def python(version: str, *, patchelf: Path) -> Path:
    """Return an interpreter that loads the libraries of its own release. Raises Failed.

    Args:
        version: such as 3.14.
        patchelf: the program that writes the paths of loader and libraries into the interpreter.
    """
    if version not in PYTHONS:
        raise Failed(f"no Python {version} found on PATH or below ~/.pyenv/versions")
    name = f"python{version}"
    root = unpacked(PYTHONS[version], [name, f"{name}-venv", "python3-pip-whl"])
    program = root / "usr" / "bin" / name
    original = program.with_name(f"{name}-original")
    if not original.exists():
        draft = program.with_name(f"{name}-draft")
        shutil.copy2(program, draft)
        libraries = str(next(root.glob("usr/lib/*-linux-gnu")))
        # One after the other, in this order: both at once, or the loader first, give a program that crashes.
        checked([str(patchelf), "--force-rpath", "--set-rpath", libraries, str(draft)])
        checked([str(patchelf), "--set-interpreter", str(root / LOADER), str(draft)])
        program.rename(original)
        draft.rename(program)
    return program


def _unpack(root: Path, release: str, packages: Sequence[str]) -> Path:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Failed(f"{packages[0]} of Debian's {release} needs root and apt-get")
    if not shutil.which("mmdebstrap"):
        checked(["apt-get", "-qq", "update"])
        checked(["apt-get", "-qq", "install", "--yes", "--no-install-recommends", "mmdebstrap"])
    mirror = output_of(["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]).split()
    if not mirror:
        raise Failed("apt-get names no mirror")
    draft = root.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    how = ["--quiet", "--mode=root", "--variant=extract", "--components=main", f"--include={','.join(packages)}"]
    checked(["mmdebstrap", *how, f"--aptopt={OLD_MIRROR}", release, str(draft), mirror[0]])
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (draft / name).exists():
            (draft / name).symlink_to(f"usr/{name}")
    for name in ("proc", "dev", "tmp"):
        (draft / name).mkdir(exist_ok=True)
    for name, text in ETC.items():
        (draft / "etc" / name).write_text(text)
    return draft.rename(root)


def checked(argv: Sequence[str]) -> None:
    """Run a command without a terminal. Raises Failed if it fails or takes longer than fifteen minutes."""
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=LIMIT_S, env=env)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Failed(f"`{' '.join(argv[:4])} ...`: {problem}") from problem
    if done.returncode:
        raise Failed(f"`{' '.join(argv[:4])} ...` failed with exit code {done.returncode}")


def output_of(argv: Sequence[str]) -> str:
    """Return what a command prints; empty if it cannot be run."""
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60).stdout
