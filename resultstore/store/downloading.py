"""FileDownload: writes one Artifact to a local file, atomically, and resumes a download that was interrupted."""

import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from resultstore.blobs.stream import BLOCK_BYTES
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ChecksumMismatch, Unavailable
from resultstore.model.names import artifact_name_of

Report = Callable[[int, int], None]
_NAMELESS: Final = "output"
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class FileDownload:
    """One Artifact on its way to a local file.

    The bytes are collected in a hidden file in the target's folder, whose name depends on target and content. It stays
    when the store cannot be reached or the process dies; the next download to this target goes on from there.

    Args:
        artifact: what to download.
        open_content: opens its content, verified and seekable.
        report: gets the bytes that are there and their total, after each MiB.
    """

    def __init__(self, artifact: Artifact, open_content: Callable[[], BinaryIO], *, report: Report | None) -> None:
        self._artifact = artifact
        self._open_content = open_content
        self._report = report

    def save(self, path: str | os.PathLike[str], *, overwrite: bool) -> Path:
        """Write the content to `path`, or into the folder `path` under the file name; return where it is.

        Raises FileExistsError without `overwrite`, also if the file was created in the meantime.
        """
        given = Path(path)
        target = given / self._local_name() if given.is_dir() else given
        if not overwrite:
            _refuse_existing(target)
        self._open_content().close()  # an Artifact that may not be read leaves no file
        with _partial_file(self._partial_path(target)) as (file, partial):
            try:
                self._fill(file)
                _publish(partial, target, overwrite=overwrite)
            except Unavailable:
                raise  # the next download goes on from here
            except Exception:
                partial.unlink(missing_ok=True)
                raise
        return target

    def _local_name(self) -> str:
        """Return a name without folders: without a secret key, what the Artifact says is not verified."""
        one = self._artifact
        return artifact_name_of(one.file_name) or artifact_name_of(one.name) or _NAMELESS

    def _partial_path(self, target: Path) -> Path:
        content = self._artifact.sha256 or self._artifact.key
        name = hashlib.sha256(f"{target.name}\n{content}".encode(errors="surrogateescape")).hexdigest()[:32]
        return target.parent / f".{name}.part"

    def _fill(self, file: BinaryIO) -> None:
        """Complete the file, and compare all of it with the Artifact's SHA-256."""
        resumed = self._complete(file)
        if resumed is not None and resumed > 0:
            file.seek(0)
            file.truncate()
            resumed = self._complete(file)
        if resumed is not None:
            one = self._artifact
            raise ChecksumMismatch(f"artifact {one.name} of {one.id} does not match its SHA-256: run its task again")
        file.flush()
        os.fsync(file.fileno())

    def _complete(self, file: BinaryIO) -> int | None:
        """Append what is missing; return None if the content is right, else how many bytes were there before."""
        digest, done = hashlib.sha256(), 0
        for block in _blocks(file, max_bytes=self._artifact.size_bytes):
            digest.update(block)
            done += len(block)
        kept = done
        file.seek(done)
        file.truncate()
        with self._open_content() as content:
            content.seek(done)
            while chunk := content.read(BLOCK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if self._report is not None:
                    self._report(done, self._artifact.size_bytes)
        is_right = done == self._artifact.size_bytes and self._artifact.sha256 in {"", digest.hexdigest()}
        return None if is_right else kept


def _blocks(file: BinaryIO, *, max_bytes: int) -> Iterator[bytes]:
    """Yield the whole blocks of 1 MiB that the file has: what follows them may be half written."""
    file.seek(0)
    for _ in range(max_bytes // BLOCK_BYTES):
        block = file.read(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES:
            return
        yield block


@contextmanager
def _partial_file(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open the partial file for this process alone; wait for another process that downloads to the same target."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with open(descriptor, "r+b") as file:  # noqa: PTH123 - of a descriptor
            fcntl.flock(file, fcntl.LOCK_EX)
            here = os.fstat(file.fileno())
            if here.st_nlink == 1 and _is_same(path, here):
                yield file, path
                return
            if here.st_nlink > 1:  # a process died between publishing the file and removing this name of it
                path.unlink(missing_ok=True)


def _is_same(path: Path, here: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), here)
    except FileNotFoundError:
        return False


def _publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Give the complete file its name, in one step."""
    if overwrite:
        partial.replace(target)
        return
    try:
        target.hardlink_to(partial)  # unlike a rename, it fails if the target exists
    except FileExistsError:
        _refuse_existing(target)
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _refuse_existing(target)  # this file system has no hard links: check, then rename
        partial.replace(target)
        return
    partial.unlink()


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "the file exists: choose another path, or pass overwrite=True", str(target))
