"""Folder: a place of its own under .services/ for each set of servers, locked while anything of the set runs."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _access import Failed

ROOT = Path(__file__).resolve().parent.parent / ".services"


@contextmanager
def own_folder(name: str, *, keep: bool) -> Iterator[tuple[Path, int]]:
    """The folder and its lock's descriptor; gone afterwards unless `keep`. Raises Failed while another holds it."""
    folder = ROOT / name
    ROOT.mkdir(exist_ok=True)
    with (ROOT / "lock").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)  # nobody sweeps between our mkdir and our lock
        _sweep()
        folder.mkdir(exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("w")
        if not _lock_now(lock.fileno()):
            lock.close()
            raise Failed(f"{folder} is in use: `scripts/services status` tells by whom")
    with lock:
        try:
            yield folder, lock.fileno()
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)


def in_use(name: str) -> bool:
    """Whether anything of that set runs."""
    try:
        with (ROOT / name / "lock").open() as lock:
            return not _lock_now(lock.fileno())
    except FileNotFoundError:
        return False


def _sweep() -> None:
    """Remove what runs that were killed have left; their tethers have ended their processes."""
    for folder in ROOT.glob("run-*"):
        if not in_use(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _lock_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
