"""ObstoreBlobs: a BlobStore in any object store that obstore serves."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import ModuleType
from typing import Final

from resultstore.blobs.blobstore import AlreadyExists, Chunk, Created, OutcomeUnknown, Stored
from resultstore.blobs.keys import checked_key
from resultstore.blobs.obstore.client import ObstoreClient
from resultstore.blobs.obstore.download import Download
from resultstore.blobs.obstore.errors import RequestFailure
from resultstore.blobs.obstore.listing import BlobListing, stored
from resultstore.blobs.obstore.upload import StreamUpload
from resultstore.model.errors import ResultStoreError

_DELETED_AT_ONCE: Final = 1000  # S3 API reference, DeleteObjects
_TAKEN: Final = frozenset({409, 412})


class ObstoreBlobs:
    """BlobStore by obstore: GCS, Azure, S3, a local folder or memory.

    The store must support conditional creation (`mode="create"`). Threads may share it; a forked process can go on
    using it.

    Args:
        client: the store.
        now: returns the store's own time; by default this machine's clock.
        abandon: aborts every unfinished upload of a key, as far as the store can be reached. By default nothing: the
            store's lifecycle rules collect unfinished uploads.
    """

    def __init__(
        self,
        client: ObstoreClient,
        *,
        now: Callable[[], float] = time.time,
        abandon: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._client = client
        self._now = now
        self._abandon = abandon

    def put(self, key: str, chunks: Iterable[Chunk], *, media_type: str, size_hint_bytes: int | None = None) -> Stored:
        """Store all of `chunks` under `key`, or nothing. Memory: 4 parts in flight, and one that is being filled.

        Without a hint the limit is 10,000 parts of 8 MiB (78 GiB); beyond, TooLarge asks for `size_hint_bytes`.
        """
        upload = StreamUpload(
            self._client, checked_key(key), media_type=media_type, stat=self.stat, abandon=self._abandon
        )
        return upload.send(chunks, size_hint_bytes=size_hint_bytes, now=self.now)

    def get(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> Iterator[bytes]:
        """Stream the blob from byte `start`: `size_bytes` of it, or all the rest. Raises BlobMissing at once."""
        if size_bytes == 0:  # HTTP has no empty range
            self.stat(key)
            return iter(())
        return Download(self._client, checked_key(key)).stream(start=start, size_bytes=size_bytes)

    def stat(self, key: str) -> Stored:
        """Return key, size, entity tag and time of writing of the blob. Raises BlobMissing."""

        def request(library: ModuleType, store: object) -> Stored:
            return stored(library.head(store, checked_key(key)))

        return self._client.send(request, failed=partial(self._stat_error, key))

    def delete(self, keys: Sequence[str]) -> None:
        """Delete these keys, a thousand with each request. A key that does not exist is no error."""
        # MinIO answers a repeated key with XML that obstore refuses.
        every = list(dict.fromkeys(map(checked_key, keys)))
        for start in range(0, len(every), _DELETED_AT_ONCE):
            try:
                self._delete(every[start : start + _DELETED_AT_ONCE])
            except _OneIsMissing:
                # S3 forgives a key that does not exist; where a store does not, the others may still be there.
                for key in every[start : start + _DELETED_AT_ONCE]:
                    with suppress(_OneIsMissing):
                        self._delete([key])

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yield every blob whose key begins with `prefix`, in any order."""
        return BlobListing(self._client).blobs(prefix)

    def create(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> Created | AlreadyExists | OutcomeUnknown:
        """Write the small `body` under `key` only if the key is free (If-None-Match: *), sent exactly once.

        Returns OutcomeUnknown after a server error, a lost connection or a time-out: the store may have written it
        before it failed. A second try here would mistake its own bytes for those of another creator. Definite refusals
        raise; only AccessDenied, which wrote nothing and may pass, is tried again.
        """

        def request(library: ModuleType, store: object) -> Created | AlreadyExists | OutcomeUnknown:
            try:
                done = library.put(store, checked_key(key), body, mode="create", tags=dict(tags), use_multipart=False)
            except self._client.errors as error:
                failure = self._client.failures.of(error)
                if failure.status in _TAKEN:
                    return AlreadyExists()
                if failure.refused:
                    raise
                return OutcomeUnknown(
                    f"{self._client.where} gave no clear answer ({failure.summary}): {failure.remedy}"
                )
            return Created(str(done["e_tag"]).strip('"'))

        return self._client.send(request, failed=partial(self._error, f"blob {key}"))

    def replace(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> None:
        """Write the small `body` under `key`, whether the key is free or not. A reader gets old bytes or new ones."""

        def request(library: ModuleType, store: object) -> None:
            library.put(store, checked_key(key), body, tags=dict(tags), use_multipart=False)

        self._client.send(request, failed=partial(self._error, f"blob {key}"))

    def now(self) -> float:
        """Return the store's own time, in seconds since the epoch."""
        return self._now()

    def _delete(self, keys: Sequence[str]) -> None:
        def request(library: ModuleType, store: object) -> None:
            library.delete(store, keys)

        self._client.send(request, failed=partial(self._delete_error, len(keys)))

    def _delete_error(self, count: int, failure: RequestFailure) -> ResultStoreError:
        return _OneIsMissing() if failure.missing else self._error(f"deletion of {count} blobs", failure)

    def _stat_error(self, key: str, failure: RequestFailure) -> ResultStoreError:
        return failure.read_error(self._client.where, key)

    def _error(self, what: str, failure: RequestFailure) -> ResultStoreError:
        return failure.error(self._client.where, what)


class _OneIsMissing(ResultStoreError):
    """One of the keys to delete does not exist."""
