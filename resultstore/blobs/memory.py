"""Memory: a BlobStore in a dict, for tests and for a single process."""

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from resultstore.blobs.blobstore import AlreadyExists, Chunk, Created, Stored
from resultstore.blobs.keys import checked_key
from resultstore.model.errors import BadReference, BlobMissing
from resultstore.settings import Settings

_READ_BYTES = 1024 * 1024


class MemoryBlobs:
    """BlobStore in a dict: the blobs end with the process. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blobs: dict[str, tuple[Stored, bytes]] = {}

    def put(
        self,
        key: str,
        chunks: Iterable[Chunk],
        *,
        media_type: str,  # noqa: ARG002  a dict keeps no types: URLs name them, and a dict has no URLs
        size_hint_bytes: int | None = None,  # noqa: ARG002  there are no parts to size
    ) -> Stored:
        """Store all of `chunks` under `key`, or nothing. Raises BadReference when the key exists already."""
        checked_key(key)
        stored = self._added(key, b"".join(bytes(chunk) for chunk in chunks))
        if stored is None:
            raise BadReference(f"the key {key} exists already: a key is written once, use a new one")
        return stored

    def create(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> Created | AlreadyExists:  # noqa: ARG002  for lifecycles
        """Write `body` under `key` only if the key is free."""
        stored = self._added(checked_key(key), bytes(body))
        return AlreadyExists() if stored is None else Created(stored.etag)

    def replace(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> None:  # noqa: ARG002  as in `create`
        """Write `body` under `key`, whether the key is free or not."""
        stored = self._stored(checked_key(key), body)
        with self._lock:
            self._blobs[key] = (stored, bytes(body))

    def get(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> Iterator[bytes]:
        """Stream the blob from byte `start`: `size_bytes` of it, or all the rest. Raises BlobMissing."""
        body = memoryview(self._found(key)[1])[start:][:size_bytes]
        return (bytes(body[at : at + _READ_BYTES]) for at in range(0, len(body), _READ_BYTES))

    def stat(self, key: str) -> Stored:
        """Return key, size, entity tag and time of writing of the blob. Raises BlobMissing."""
        return self._found(key)[0]

    def delete(self, keys: Sequence[str]) -> None:
        """Delete these keys. A key that does not exist is no error."""
        with self._lock:
            for key in keys:
                self._blobs.pop(checked_key(key), None)

    def list(self, prefix: str) -> Iterator[Stored]:
        """Return every blob whose key begins with `prefix`, as of this call."""
        with self._lock:
            return iter([stored for key, (stored, _) in self._blobs.items() if key.startswith(prefix)])

    def now(self) -> float:
        """Return the time of this machine's clock, in seconds since the epoch."""
        return time.time()

    def _added(self, key: str, body: bytes) -> Stored | None:
        stored = self._stored(key, body)
        with self._lock:
            return stored if self._blobs.setdefault(key, (stored, body))[0] is stored else None

    def _stored(self, key: str, body: bytes) -> Stored:
        etag = hashlib.sha256(body).hexdigest()[:32]
        return Stored(key=key, size_bytes=len(body), etag=etag, modified_at=self.now())

    def _found(self, key: str) -> tuple[Stored, bytes]:
        with self._lock:
            found = self._blobs.get(checked_key(key))
        if found is None:
            raise BlobMissing(f"no blob {key} in memory: it was deleted, or never written")
        return found


def connect(settings: Settings) -> tuple[MemoryBlobs, None]:  # noqa: ARG001  the same signature for every scheme
    """Return an empty store in the memory of this process, for `memory://`. It has no URLs, so no signer."""
    return MemoryBlobs(), None
