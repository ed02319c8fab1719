"""The folder of a set of servers under .services/, locked while any of them runs."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _access import Failed

ROOT = Path(__file__).resolve().parent.parent / ".services"


@contextmanager
def own_folder(name: str, *, keep: bool) -> Iterator[tuple[Path, int]]:
    """Yield the folder and its lock's descriptor; delete it afterwards unless `keep`. Raises Failed if it is in use."""
    folder = ROOT / name
    ROOT.mkdir(exist_ok=True)
    with (ROOT / "lock").open("w") as sweep_lock:
        fcntl.flock(sweep_lock, fcntl.LOCK_EX)  # no other process sweeps between mkdir and lock
        _sweep()
        folder.mkdir(exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("w")
        if not _lock_now(lock.fileno()):
            lock.close()
            raise Failed(f"{folder} is in use: `scripts/services status` shows by which process")
    with lock:
        try:
            yield folder, lock.fileno()
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)


def in_use(name: str) -> bool:
    """Return True while any server of that set runs."""
    try:
        with (ROOT / name / "lock").open() as lock:
            return not _lock_now(lock.fileno())
    except FileNotFoundError:
        return False


def _sweep() -> None:
    """Remove the folders of killed runs; their reapers have ended the processes."""
    for folder in ROOT.glob("run-*"):
        if not in_use(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _lock_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
