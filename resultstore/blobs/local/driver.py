"""LocalBlobs: a BlobStore in a folder."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from stat import S_ISREG

from resultstore.blobs.blobstore import AlreadyExists, Chunk, Created, OutcomeUnknown, Part, Stored
from resultstore.blobs.keys import checked_key, is_key
from resultstore.blobs.local.atomic_file import AtomicFiles, disk_errors
from resultstore.blobs.local.multipart import LocalParts, tag_of
from resultstore.model.errors import BadReference, BlobMissing, BlobStoreUnavailable

_READ_BYTES = 1024 * 1024
# What the file system raises if there is no such file: also for a file in the place of a folder, or the reverse.
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalBlobs:
    """BlobStore, MultipartStore and PartReceiver in files below `root`.

    The first write makes the folder. Threads, forks and other processes may share it. Names that begin with a dot
    belong to the driver: no key can name them and no listing shows them.

    Args:
        root: the folder.
        for_group: new files and folders are for the folder's group too (0660, 0770), not only for their owner
            (0600, 0700). An existing folder `root` keeps its mode.
    """

    def __init__(self, root: Path, *, for_group: bool = False) -> None:
        self._root = root.absolute()
        self._drafts = AtomicFiles(self._root, for_group=for_group)
        self._parts = LocalParts(self._root, self._drafts)

    def put(
        self,
        key: str,
        chunks: Iterable[Chunk],
        *,
        media_type: str,  # noqa: ARG002  a file keeps no type: URLs name it
        size_hint_bytes: int | None = None,  # noqa: ARG002  a file has no parts to size
    ) -> Stored:
        """Store all of `chunks` under `key`, or nothing.

        A crash leaves at most a draft, which the next writer removes. Raises BadReference when the key exists
        already, BlobStoreFull, TooLarge, BlobStoreUnavailable; what `chunks` raises passes through.
        """
        path = self._path(key)
        with self._drafts.create() as draft:
            for chunk in chunks:
                draft.write(chunk)
            if not draft.publish(path):
                raise BadReference(f"the key {key} exists already: a key is written once, use a new one")
            draft.sync(path)
            return _stored(key, draft.status)

    def create(
        self,
        key: str,
        body: bytes,
        *,
        tags: Mapping[str, str],  # noqa: ARG002  a folder has no lifecycle rules: a sweep reads the seals
    ) -> Created | AlreadyExists | OutcomeUnknown:
        """Write `body` under `key` only if the key is free. OutcomeUnknown: written, but a power loss may undo it."""
        path = self._path(key)
        with self._drafts.create() as draft:
            draft.write(body)
            if not draft.publish(path):
                return AlreadyExists()
            try:
                draft.sync(path)
            except BlobStoreUnavailable as error:
                return OutcomeUnknown(str(error))
            return Created(_stored(key, draft.status).etag)

    def replace(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> None:  # noqa: ARG002  as in `create`
        """Write `body` under `key`, free or not. A reader receives the old bytes or the new ones, never a mix."""
        path = self._path(key)
        with self._drafts.create() as draft:
            draft.write(body)
            draft.publish_over(path)
            draft.sync(path)

    def get(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> Iterator[bytes]:
        """Stream the blob from byte `start`: `size_bytes` of it, or all the rest. Raises BlobMissing at the call."""
        path = self._path(key)
        with disk_errors(self._root):
            try:
                file = FileIO(path)
            except _ABSENT as error:
                raise _missing(key) from error
        return self._read(file, start, size_bytes)

    def stat(self, key: str) -> Stored:
        """Return key, size, entity tag and time of writing of the blob. Raises BlobMissing."""
        path = self._path(key)
        with disk_errors(self._root):
            try:
                status = path.stat()
            except _ABSENT as error:
                raise _missing(key) from error
        if not S_ISREG(status.st_mode):
            raise _missing(key)
        return _stored(key, status)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete these keys, and folders that become empty. A key that does not exist is no error."""
        for path in [self._path(key) for key in keys]:
            with disk_errors(self._root), suppress(*_ABSENT):
                path.unlink()
                self._prune(path.parent)

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yield every blob whose key begins with `prefix`, in any order."""
        folder = prefix.rpartition("/")[0]
        if not folder or is_key(folder):
            with disk_errors(self._root):
                yield from self._walk(folder, prefix)

    def begin_parts(self, key: str, *, media_type: str) -> str:  # noqa: ARG002  as in `put`
        """Begin a multipart upload and return its id."""
        return self._parts.begin(key)

    def put_part(self, key: str, *, upload_id: str, number: int, chunks: Iterable[Chunk]) -> Part:
        """Store all of `chunks` as this part, or nothing. Raises BlobMissing when the upload is over."""
        return self._parts.put(key, upload_id=upload_id, number=number, chunks=chunks)

    def parts(self, key: str, *, upload_id: str) -> tuple[Part, ...]:
        """Return the parts that have arrived, by number. Raises BlobMissing when the upload is over."""
        return self._parts.parts(key, upload_id=upload_id)

    def complete_parts(self, key: str, *, upload_id: str, parts: Sequence[Part]) -> Stored:
        """Make one blob of these parts if the key is still free. Idempotent."""
        return self._parts.complete(key, upload_id=upload_id, parts=parts)

    def abort_parts(self, key: str, *, upload_id: str) -> None:  # noqa: ARG002  the id alone names the folder
        """Delete the upload and its parts. One that is over is no error."""
        self._parts.abort(upload_id)

    def now(self) -> float:
        """Return the time of this machine's clock, in seconds since the epoch."""
        return time.time()

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    def _read(self, file: FileIO, start: int, size_bytes: int | None) -> Iterator[bytes]:
        with file:
            file.seek(start)
            rest = os.fstat(file.fileno()).st_size if size_bytes is None else size_bytes
            while rest > 0:
                with disk_errors(self._root):
                    chunk = file.read(min(rest, _READ_BYTES))
                if not chunk:
                    return
                rest -= len(chunk)
                yield chunk

    def _walk(self, folder: str, prefix: str) -> Iterator[Stored]:
        for entry in self._entries(folder):
            key = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(".") or not key.startswith(prefix):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(key, prefix)
            elif is_key(key):  # a file of another program may have any name
                with suppress(FileNotFoundError):  # deleted while we list
                    yield _stored(key, entry.stat())

    def _entries(self, folder: str) -> Iterator["os.DirEntry[str]"]:
        with suppress(*_ABSENT), os.scandir(self._root / folder) as entries:
            yield from entries

    def _prune(self, folder: Path) -> None:
        """Remove empty folders upwards. A writer that needs one makes it again (`AtomicFile.publish`)."""
        with suppress(OSError):  # not empty: stop
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent


def _stored(key: str, status: os.stat_result) -> Stored:
    return Stored(key=key, size_bytes=status.st_size, etag=tag_of(status), modified_at=status.st_mtime)


def _missing(key: str) -> BlobMissing:
    return BlobMissing(f"no blob {key} in the folder: it was deleted, or never written")
