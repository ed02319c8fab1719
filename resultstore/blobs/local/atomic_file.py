"""AtomicFile: a file that is written as a draft, then appears whole under its final name or not at all."""

import errno
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resultstore.blobs.blobstore import Chunk
from resultstore.model.errors import BadReference, BlobStoreFull, BlobStoreUnavailable, ResultStoreError, TooLarge

_FOLDER = ".drafts"
_PUBLISH_TRIES = 16  # a try fails only if a delete prunes the same folder between two system calls


class AtomicFiles:
    """Makes the drafts of one folder, in its subfolder `.drafts`: the same file system, so that a link publishes.

    A writer holds a lock on its draft. An unlocked draft was left by a writer that was killed; the first draft that a
    process makes here removes those.

    Files and folders are for their owner only (0600, 0700), or also for their group (0660, 0770), whatever the umask.
    """

    def __init__(self, root: Path, *, for_group: bool = False) -> None:
        self._root = root
        self._for_group = for_group
        self._folder = root / _FOLDER
        self._swept_by_pid = 0

    @contextmanager
    def create(self) -> Iterator["AtomicFile"]:
        """Yield a new, empty draft; it is gone after the block, whatever happens there."""
        with disk_errors(self._root):
            self.make_folder(self._folder)
            if self._swept_by_pid != os.getpid():
                self._sweep()
                self._swept_by_pid = os.getpid()
            draft = self._new()
        try:
            yield draft
        finally:
            draft.discard()

    def make_folder(self, folder: Path) -> None:
        """Make `folder` and its missing parents; the store's own folders are as private as its files."""
        if folder.is_dir():
            return
        if folder == self._root:
            folder.parent.mkdir(parents=True, exist_ok=True)
        else:
            self.make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            if self._for_group:
                folder.chmod(0o770)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))

    def _new(self) -> "AtomicFile":
        while True:
            path = self._folder / secrets.token_hex(16)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            if self._for_group:
                os.fchmod(descriptor, 0o660)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return AtomicFile(self._root, path, descriptor, make_folder=self.make_folder)
            os.close(descriptor)  # a sweep removed it before it was locked

    def _sweep(self) -> None:
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)


class AtomicFile:
    """One locked file below `.drafts`, being written."""

    def __init__(self, root: Path, path: Path, descriptor: int, *, make_folder: Callable[[Path], None]) -> None:
        self._root = root
        self._make_folder = make_folder
        self._path = path
        self._descriptor = descriptor

    def write(self, chunk: Chunk) -> None:
        """Append `chunk`. Raises BlobStoreFull, TooLarge, BlobStoreUnavailable."""
        rest = memoryview(chunk).cast("B")
        with disk_errors(self._root):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def publish(self, path: Path) -> bool:
        """Link the whole draft to `path`, with its bytes on disk. Return False if `path` exists.

        A crash before the link leaves a draft, a crash after it the whole file.
        """
        return self._appear(path, _linked)

    def publish_over(self, path: Path) -> None:
        """Rename the whole draft to `path`, with its bytes on disk, in place of any file there."""
        self._appear(path, _renamed)

    def sync(self, path: Path) -> None:
        """Make the published name survive a power loss: fsync its folder and its parents, up to the root.

        All of them each time: another process may have made one and not synced it yet. A clean folder costs three
        system calls.
        """
        with disk_errors(self._root):
            for folder in path.parents:
                _sync_folder(folder)
                if folder == self._root:
                    break

    def _appear(self, path: Path, step: Callable[[Path, Path], bool]) -> bool:
        with disk_errors(self._root):
            os.fsync(self._descriptor)
            for _ in range(_PUBLISH_TRIES):
                with suppress(FileNotFoundError):  # a delete pruned the folder: make it again
                    self._make(path.parent)
                    return step(self._path, path)
        raise BlobStoreUnavailable(f"cannot make a file in {path.parent}: other processes keep removing it; try again")

    def _make(self, folder: Path) -> None:
        try:
            self._make_folder(folder)
        except (FileExistsError, NotADirectoryError) as error:
            if any(place.is_file() for place in (folder, *folder.parents)):
                raise BadReference(
                    f"{folder} is a blob and cannot be a folder: no key may be the beginning of another"
                ) from error
            # else a delete removed it between two steps: the next step finds it missing

    @property
    def status(self) -> os.stat_result:
        """Return what the file system reports about the file."""
        with disk_errors(self._root):
            return os.fstat(self._descriptor)

    def discard(self) -> None:
        """Remove the draft's own name and unlock it; a published name remains."""
        try:
            with suppress(OSError):  # the next sweep removes it
                self._path.unlink(missing_ok=True)
        finally:
            os.close(self._descriptor)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Translate OSErrors of system calls on files below `folder`. Never wrap it around a caller's own code."""
    try:
        yield
    except OSError as error:
        raise _translated(error, folder) from error


def _translated(error: OSError, folder: Path) -> ResultStoreError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return BlobStoreFull(
            f"no space left in {folder}: delete results, raise the quota, or set RESULTSTORE_BLOBS_URL to a larger disk"
        )
    if error.errno == errno.EFBIG:
        return TooLarge(f"a file below {folder} may not be that large: raise the file system's or the process's limit")
    return BlobStoreUnavailable(
        f"{folder}: {error.strerror}: the folder must be mounted, writable for user id {os.geteuid()}, and on a "
        "file system with hard links; or set RESULTSTORE_BLOBS_URL to another"
    )


def _linked(draft: Path, path: Path) -> bool:
    try:
        os.link(draft, path)  # unlike a rename it fails when the name is taken
    except FileExistsError:
        return False
    return True


def _renamed(draft: Path, path: Path) -> bool:
    draft.rename(path)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
