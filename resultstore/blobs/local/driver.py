"""Local: a BlobStore in a folder."""

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
# How a path says that no file stands there: no such name, a file where a folder should be, or the reverse.
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalBlobs:
    """BlobStore, MultipartStore and PartReceiver in files below `root`.

    The first write makes the folder. Threads, forks and other processes may share it. Names that begin with a dot
    belong to the driver: no key can name them and no listing shows them.

    Args:
        root: the folder.
        for_group: files and folders that are made are for the folder's group too (0660, 0770), instead of for their
            owner alone (0600, 0700). The folder itself stays as it is where it exists.
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
        media_type: str,  # noqa: ARG002  a file keeps no type: the URL that reads it names one
        size_hint_bytes: int | None = None,  # noqa: ARG002  a file has no parts to size
    ) -> Stored:
        """Store all of `chunks` under `key`, or nothing.

        A crash leaves at most a draft, which the next writer removes. Raises BadReference when the key is written
        already, BlobStoreFull, TooLarge, BlobStoreUnavailable; what `chunks` raises passes through.
        """
        path = self._path(key)
        with self._drafts.opened() as draft:
            for chunk in chunks:
                draft.write(chunk)
            if not draft.publish(path):
                raise BadReference(f"the key {key} is written already: a key is written once, make a new one")
            draft.settle(path)
            return _stored(key, draft.status)

    def create(
        self,
        key: str,
        body: bytes,
        *,
        tags: Mapping[str, str],  # noqa: ARG002  no lifecycle runs in a folder: a sweep reads the seals themselves
    ) -> Created | AlreadyExists | OutcomeUnknown:
        """Write `body` under `key` only if nothing stands there; Unknown when it stands but may not survive a crash."""
        path = self._path(key)
        with self._drafts.opened() as draft:
            draft.write(body)
            if not draft.publish(path):
                return AlreadyExists()
            try:
                draft.settle(path)
            except BlobStoreUnavailable as error:
                return OutcomeUnknown(str(error))
            return Created(_stored(key, draft.status).etag)

    def replace(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> None:  # noqa: ARG002  as in `create`
        """Put `body` under `key`, whatever stands there; a reader sees the old bytes or the new, never a mix."""
        path = self._path(key)
        with self._drafts.opened() as draft:
            draft.write(body)
            draft.publish_over(path)
            draft.settle(path)

    def get(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> Iterator[bytes]:
        """Stream the blob from byte `start`, `size_bytes` of it or all the rest. Raises BlobMissing at the call."""
        path = self._path(key)
        with disk_errors(self._root):
            try:
                file = FileIO(path)
            except _ABSENT as error:
                raise _missing(key) from error
        return self._read(file, start, size_bytes)

    def stat(self, key: str) -> Stored:
        """What stands under `key`. Raises BlobMissing."""
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
        """Remove these keys, and the folders that they leave empty; one that does not exist is no error."""
        for path in [self._path(key) for key in keys]:
            with disk_errors(self._root), suppress(*_ABSENT):
                path.unlink()
                self._prune(path.parent)

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every blob whose key begins with `prefix`, in any order."""
        folder = prefix.rpartition("/")[0]
        if not folder or is_key(folder):
            with disk_errors(self._root):
                yield from self._walk(folder, prefix)

    def begin_parts(self, key: str, *, media_type: str) -> str:  # noqa: ARG002  as in `put`
        """Begin a blob that comes in parts; the upload's id."""
        return self._parts.begin(key)

    def put_part(self, key: str, *, upload_id: str, number: int, chunks: Iterable[Chunk]) -> Part:
        """Keep all of `chunks` as this part, or nothing. Raises BlobMissing when the upload is over."""
        return self._parts.put(key, upload_id=upload_id, number=number, chunks=chunks)

    def parts(self, key: str, *, upload_id: str) -> tuple[Part, ...]:
        """What has arrived, by number. Raises BlobMissing when the upload is over."""
        return self._parts.parts(key, upload_id=upload_id)

    def complete_parts(self, key: str, *, upload_id: str, parts: Sequence[Part]) -> Stored:
        """Make one blob of these parts where nothing stands; done twice it answers twice."""
        return self._parts.complete(key, upload_id=upload_id, parts=parts)

    def abort_parts(self, key: str, *, upload_id: str) -> None:  # noqa: ARG002  the id alone names the folder
        """Drop the upload with its parts; one that is over is no error."""
        self._parts.abort(upload_id)

    def now(self) -> float:
        """This machine's clock: seconds since the epoch."""
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
            elif is_key(key):  # a file of somebody else's may have any name
                with suppress(FileNotFoundError):  # deleted while we list
                    yield _stored(key, entry.stat())

    def _entries(self, folder: str) -> Iterator["os.DirEntry[str]"]:
        with suppress(*_ABSENT), os.scandir(self._root / folder) as entries:
            yield from entries

    def _prune(self, folder: Path) -> None:
        """Remove empty folders upwards; whoever writes into one at this moment makes it again (`Draft.publish`)."""
        with suppress(OSError):  # not empty: the end of the way
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent


def _stored(key: str, status: os.stat_result) -> Stored:
    return Stored(key=key, size_bytes=status.st_size, etag=tag_of(status), modified_at=status.st_mtime)


def _missing(key: str) -> BlobMissing:
    return BlobMissing(f"no blob stands under {key}: it was never written, or it was removed")
