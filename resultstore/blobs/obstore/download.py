"""Download: streams one blob or a range of it, and resumes where a connection broke."""

import time
from collections.abc import Iterator
from types import ModuleType

from resultstore.blobs.obstore.client import ObstoreClient
from resultstore.blobs.obstore.errors import RequestFailure
from resultstore.model.errors import ChecksumMismatch, ResultStoreError

_CHUNK_BYTES = 1024 * 1024
_NO_SUCH_RANGE = 416
_CHANGED = 412


class Download:
    """Streams one key.

    A connection that breaks is opened again with Range + If-Match on the first answer's ETag (RFC 9110 section 13.1.1),
    so bytes of two versions never mix. If-Range is not used: MinIO ignores it.
    """

    def __init__(self, client: ObstoreClient, key: str) -> None:
        self._client = client
        self._key = key

    def stream(self, *, start: int, size_bytes: int | None) -> Iterator[bytes]:
        """Return chunks of at least 1 MiB, the last one shorter. Raises BlobMissing here, not at the first chunk."""
        end = None if size_bytes is None else start + size_bytes
        opened = self._opened(start=start, end=end, etag=None)
        return iter(()) if opened is None else self._chunks(opened)

    def _chunks(self, opened: "_Opened") -> Iterator[bytes]:
        at, end = opened.range
        pauses = self._client.retries.pauses()
        while at < end:
            error: Exception | None = None
            for chunk in self._whole_chunks(opened):
                if isinstance(chunk, Exception):
                    error = chunk
                    break
                at += len(chunk)
                pauses = self._client.retries.pauses()  # progress: earlier breaks do not count
                yield chunk
            if at >= end:
                return
            opened = self._again(at=at, end=end, etag=opened.etag, error=error, pause_s=next(pauses, None))

    def _whole_chunks(self, opened: "_Opened") -> Iterator[bytes | Exception]:
        """Yield the chunks that arrive, then the exception that ended the stream, if one did."""
        stream = iter(opened.body.stream(min_chunk_size=_CHUNK_BYTES))  # type: ignore[attr-defined]  # see StreamUpload._write
        while True:
            try:
                chunk = next(stream, None)
            except self._client.errors as error:
                yield error
                return
            if chunk is None:
                return
            yield chunk

    def _again(
        self, *, at: int, end: int, etag: str | None, error: Exception | None, pause_s: float | None
    ) -> "_Opened":
        failure = self._client.failures.of(error or ConnectionError("the answer ended early"))
        if pause_s is None or etag is None or not failure.transient:
            raise self._error(failure) from error
        time.sleep(pause_s)
        opened = self._opened(start=at, end=end, etag=etag)
        if opened is None:
            raise self._error(failure) from error
        return opened

    def _opened(self, *, start: int, end: int | None, etag: str | None) -> "_Opened | None":
        options: dict[str, object] = {"if_match": etag} if etag else {}
        if start or end is not None:
            options["range"] = {"offset": start} if end is None else (start, end)

        def request(library: ModuleType, store: object) -> object:
            return library.get(store, self._key, options=options)

        try:
            return _Opened(self._client.send(request, failed=self._failure))
        except _RangeEmpty:
            return None

    def _failure(self, failure: RequestFailure) -> ResultStoreError:
        if failure.status == _NO_SUCH_RANGE:
            return _RangeEmpty()
        return self._error(failure)

    def _error(self, failure: RequestFailure) -> ResultStoreError:
        if failure.status == _CHANGED:
            return ChecksumMismatch(f"blob {self._key} was replaced while it was read: look its Result up again")
        return failure.read_error(self._client.where, self._key)


class _RangeEmpty(ResultStoreError):
    """The range begins at the end of the blob or beyond."""


class _Opened:
    """obstore's GetResult, with types, which obstore's own class lacks at run time."""

    def __init__(self, body: object) -> None:
        self.body = body
        self.range: tuple[int, int] = body.range  # type: ignore[attr-defined]  # see StreamUpload._write
        self.etag: str | None = body.meta["e_tag"]  # type: ignore[attr-defined]  # the same
