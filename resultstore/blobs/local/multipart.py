"""LocalParts: multipart uploads to a folder; each part is a file below `.parts` until all are joined."""

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path

from resultstore.blobs.blobstore import Chunk, Part, Stored
from resultstore.blobs.keys import checked_key
from resultstore.blobs.local.atomic_file import AtomicFile, AtomicFiles, disk_errors
from resultstore.model.errors import BadReference, BlobMissing

_FOLDER = ".parts"
_KEY_FILE = "key"
_UPLOAD_ID = re.compile(r"[0-9a-f]{32}\Z")
_READ_BYTES = 1024 * 1024
_MAX_NUMBER = 10_000  # as S3
_FORGOTTEN_AFTER_S = 2 * 86_400  # after its last part: long after the gateway has aborted an upload it knows


class LocalParts:
    """MultipartStore and PartReceiver of one folder.

    `.parts/<upload id>/key` names the key, `.parts/<upload id>/<number>` holds a part. A crash leaves such a folder;
    the gateway that knows the upload id aborts it, or a later upload does. Completion copies the parts to a draft, so
    no reader receives half a blob.
    """

    def __init__(self, root: Path, drafts: AtomicFiles) -> None:
        self._root = root
        self._drafts = drafts

    def begin(self, key: str) -> str:
        """Begin an upload and return its id."""
        self._sweep()
        upload_id = secrets.token_hex(16)
        with self._drafts.create() as draft:
            draft.write(checked_key(key).encode())
            draft.publish(self._folder(upload_id) / _KEY_FILE)
        return upload_id

    def put(self, key: str, *, upload_id: str, number: int, chunks: Iterable[Chunk]) -> Part:
        """Store all of `chunks` as this part, replacing an earlier one. Raises BlobMissing when the upload is over."""
        self._check(key, upload_id)
        if not 1 <= number <= _MAX_NUMBER:
            raise BadReference(f"part {number} of {key}: parts are numbered from 1 to {_MAX_NUMBER:,}")
        path = self._folder(upload_id) / str(number)
        with self._drafts.create() as draft:
            for chunk in chunks:
                draft.write(chunk)
            draft.publish_over(path)
            part = _part(number, draft.status)
        try:
            self._check(key, upload_id)
        except BlobMissing:  # it ended while the part arrived, which made its folder again
            self.abort(upload_id)
            raise
        return part

    def parts(self, key: str, *, upload_id: str) -> tuple[Part, ...]:
        """Return the parts that have arrived, by number."""
        self._check(key, upload_id)
        with disk_errors(self._root):
            entries = list(os.scandir(self._folder(upload_id)))
            found = {int(one.name): one.stat() for one in entries if one.name.isdecimal()}
        return tuple(_part(number, status) for number, status in sorted(found.items()))

    def complete(self, key: str, *, upload_id: str, parts: Sequence[Part]) -> Stored:
        """Join these parts under `key`. A crash leaves the parts; the next call, or the collection, removes them."""
        path = self._root / checked_key(key)
        size_bytes = sum(one.size_bytes for one in parts)
        try:
            if self.parts(key, upload_id=upload_id) != tuple(parts):
                raise BadReference(f"the parts of {key} are not as listed: list them again")
            with self._drafts.create() as draft:
                self._join(draft, upload_id, parts)
                if draft.publish(path):
                    draft.sync(path)
        except (BlobMissing, FileNotFoundError) as error:  # another process has completed or aborted it
            stored = self._find_blob(key, path)
            if stored is None:
                raise BlobMissing(f"there is no unfinished upload of {key}, and no blob: begin another") from error
        else:
            self.abort(upload_id)
            stored = self._find_blob(key, path)
        if stored is None or stored.size_bytes != size_bytes:
            raise BadReference(f"{key} does not hold the {size_bytes} bytes of these parts: begin a new upload")
        return stored

    def abort(self, upload_id: str) -> None:
        """Delete the parts. An upload that is over is no error."""
        folder = self._folder(upload_id)
        with disk_errors(self._root), suppress(FileNotFoundError):
            (folder / _KEY_FILE).unlink()  # first: from here on the upload is over
        shutil.rmtree(folder, ignore_errors=True)

    def _sweep(self) -> None:
        """Abort uploads that have received no part for two days."""
        with disk_errors(self._root), suppress(FileNotFoundError):
            before = time.time() - _FORGOTTEN_AFTER_S
            for one in os.scandir(self._root / _FOLDER):
                if _UPLOAD_ID.match(one.name) and one.stat().st_mtime < before:
                    self.abort(one.name)

    def _join(self, draft: AtomicFile, upload_id: str, parts: Sequence[Part]) -> None:
        for part in parts:
            for chunk in _chunks(self._folder(upload_id) / str(part.number)):
                draft.write(chunk)

    def _find_blob(self, key: str, path: Path) -> Stored | None:
        with disk_errors(self._root), suppress(FileNotFoundError):
            status = path.stat()
            return Stored(key=key, size_bytes=status.st_size, etag=tag_of(status), modified_at=status.st_mtime)
        return None

    def _check(self, key: str, upload_id: str) -> None:
        """Raise BlobMissing unless this upload, of this key, is open."""
        named = b""
        with disk_errors(self._root), suppress(FileNotFoundError):
            named = (self._folder(upload_id) / _KEY_FILE).read_bytes()
        if named != key.encode():
            raise BlobMissing(f"there is no unfinished upload of {key}: it was completed or aborted; begin another")

    def _folder(self, upload_id: str) -> Path:
        if not _UPLOAD_ID.match(upload_id):
            raise BadReference(f"{upload_id[:40]!r} is not an upload's id: use the one that `begin_parts` returned")
        return self._root / _FOLDER / upload_id


def tag_of(status: os.stat_result) -> str:
    """Return the entity tag of a file. A key is written once, so length and time identify its bytes."""
    return f"{status.st_mtime_ns:x}-{status.st_size:x}"


def _part(number: int, status: os.stat_result) -> Part:
    return Part(number=number, size_bytes=status.st_size, etag=tag_of(status))


def _chunks(path: Path) -> Iterator[bytes]:
    with FileIO(path) as file:
        while chunk := file.read(_READ_BYTES):
            yield chunk
