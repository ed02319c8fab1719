"""Server programs: other versions of Redis, Valkey and RabbitMQ, brought below build/ and not installed.

Each entry of [servers] in tests/versions.toml says where its program comes from: a pinned package of Python's index,
a package of another Debian release, or a tag whose commit is pinned, which is built.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import _debian
import overlay
from _access import Failed
from _combinations import ROOT, servers
from _install import locked

FOLDER = ROOT / "build" / "servers"
LOADER = '#!/bin/sh\nexec {loader} --library-path {libraries} {program} "$@"\n'
# A shell script needs the root of its release: in a mount namespace of its own, where /tmp and this checkout are too.
CHROOT = """#!/bin/sh
exec unshare --mount sh -c '
    mount --rbind /proc {root}/proc && mount --rbind /dev {root}/dev &&
    mount --bind /tmp {root}/tmp &&
    mkdir -p {root}{checkout} && mount --bind {checkout} {root}{checkout} && exec chroot {root} {inside} "$@"
' sh "$@"
"""


def server_folder(names: Sequence[str]) -> Path | None:
    """Return a folder with the programs of these servers, under the names that Debian gives them. Raises Failed."""
    if not names:
        return None
    folder = FOLDER / "+".join(names)
    with locked(FOLDER / "lock"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            _bring(name, servers()[name], folder)
    return folder


def _bring(name: str, entry: Mapping[str, str], folder: Path) -> None:
    if "debian" in entry:
        _write_wrappers(_debian.unpacked(entry["debian"], [entry["needs"], *_debian.SHELL]), entry["program"], folder)
    elif "git" in entry:
        _link(_built(name, entry) / entry["program"], folder)
    else:
        python = overlay.overlay([entry["package"]] if entry["package"] else [])
        packages = next(python.parent.parent.glob("lib/python3*/site-packages"))
        _link(packages / entry["program"], folder)


def _link(program: Path, folder: Path) -> None:
    if not program.exists():
        raise Failed(f"{program} is missing")
    program.chmod(program.stat().st_mode | 0o111)
    link = folder / "redis-server"
    link.unlink(missing_ok=True)
    link.symlink_to(program)


def _write_wrappers(root: Path, program: str, folder: Path) -> None:
    inside = root / program
    if inside.name == "rabbitmq-server":
        _write(folder / "rabbitmq-server", CHROOT.format(root=root, checkout=ROOT, inside=f"/{program}"))
        _write(folder / "epmd", CHROOT.format(root=root, checkout=ROOT, inside="/usr/bin/epmd"))
    else:
        libraries = next(root.glob("usr/lib/*-linux-gnu"))
        _write(
            folder / "redis-server", LOADER.format(loader=root / _debian.LOADER, libraries=libraries, program=inside)
        )


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def _built(name: str, entry: Mapping[str, str]) -> Path:
    """Build the tag of a repository, if its commit is the pinned one. Raises Failed."""
    folder = FOLDER / f"{name}-{entry['commit'][:12]}"
    if folder.exists():
        return folder
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    clone = ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--depth=1", "--branch", entry["tag"]]
    _debian.checked([*clone, entry["git"], str(draft)])
    if (found := _debian.output_of(["git", "-C", str(draft), "rev-parse", "HEAD"]).strip()) != entry["commit"]:
        raise Failed(f"{entry['tag']} is commit {found} and not {entry['commit']}")
    _debian.checked(["make", "-C", str(draft), "-s", f"-j{os.cpu_count()}", "MALLOC=libc", "BUILD_TLS=yes"])
    return draft.rename(folder)
