"""whole_file(): a file that a command writes whole or not at all."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a temporary file that replaces `path` when the block succeeds, and is deleted when it fails.

    Follows a symbolic link and replaces the file that it names. Writes to a device or a FIFO in place: its reader may
    see the bytes of a download that fails.
    """
    if _is_written_in_place(path):
        with path.open("wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for a circle of links
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    mode = _mode(path)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(draft).chmod(mode)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def _is_written_in_place(path: Path) -> bool:
    """Return True for a path that must not be replaced: a device, a FIFO, or an open file (/dev/stdout)."""
    if path.absolute().is_relative_to("/dev") or path.absolute().is_relative_to("/proc"):
        return path.exists()
    return path.exists() and not path.is_file()


def _mode(path: Path) -> int:
    """Return the mode of the file to replace, or that of a new file: mkstemp creates private ones."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
