"""Download: one blob, or a range of it, streamed and taken up again where it broke off."""

import time
from collections.abc import Iterator
from types import ModuleType

from resultstore.blobs.obstore.client import ObstoreClient
from resultstore.blobs.s3.errors import S3Failure
from resultstore.model.errors import ChecksumMismatch, ResultStoreError

_CHUNK_BYTES = 1024 * 1024
_NO_SUCH_RANGE = 416
_CHANGED = 412


class Download:
    """Streams one key.

    A connection that breaks is opened again with Range + If-Match on the first answer's ETag (RFC 9110 section 13.1.1),
    so bytes of two versions never mix. If-Range is not used: MinIO ignores it.
    """

    def __init__(self, connection: ObstoreClient, key: str) -> None:
        self._connection = connection
        self._key = key

    def stream(self, *, start: int, size_bytes: int | None) -> Iterator[bytes]:
        """Chunks of at least 1 MiB, the last one shorter. Raises BlobMissing here, not at the first chunk."""
        end = None if size_bytes is None else start + size_bytes
        opened = self._opened(start=start, end=end, etag=None)
        return iter(()) if opened is None else self._chunks(opened)

    def _chunks(self, opened: "_Opened") -> Iterator[bytes]:
        at, end = opened.range
        pauses = self._connection.retries.pauses()
        while at < end:
            error: Exception | None = None
            for chunk in self._whole_chunks(opened):
                if isinstance(chunk, Exception):
                    error = chunk
                    break
                at += len(chunk)
                pauses = self._connection.retries.pauses()  # it moves: what was spent on earlier breaks does not count
                yield chunk
            if at >= end:
                return
            opened = self._again(at=at, end=end, etag=opened.etag, error=error, pause_s=next(pauses, None))

    def _whole_chunks(self, opened: "_Opened") -> Iterator[bytes | Exception]:
        """The chunks that arrive, then the exception that ended them, if one did."""
        stream = iter(opened.body.stream(min_chunk_size=_CHUNK_BYTES))  # type: ignore[attr-defined]  # see Upload._write
        while True:
            try:
                chunk = next(stream, None)
            except self._connection.errors as error:
                yield error
                return
            if chunk is None:
                return
            yield chunk

    def _again(
        self, *, at: int, end: int, etag: str | None, error: Exception | None, pause_s: float | None
    ) -> "_Opened":
        fault = S3Failure.of(error or ConnectionError("the answer ended early"))
        if pause_s is None or etag is None or not fault.transient:
            raise self._error(fault) from error
        time.sleep(pause_s)
        opened = self._opened(start=at, end=end, etag=etag)
        if opened is None:
            raise self._error(fault) from error
        return opened

    def _opened(self, *, start: int, end: int | None, etag: str | None) -> "_Opened | None":
        options: dict[str, object] = {"if_match": etag} if etag else {}
        if start or end is not None:
            options["range"] = {"offset": start} if end is None else (start, end)

        def request(library: ModuleType, client: object) -> object:
            return library.get(client, self._key, options=options)

        try:
            return _Opened(self._connection.send(request, failed=self._failure))
        except _RangeEmpty:
            return None

    def _failure(self, fault: S3Failure) -> ResultStoreError:
        if fault.status == _NO_SUCH_RANGE:
            return _RangeEmpty()
        return self._error(fault)

    def _error(self, fault: S3Failure) -> ResultStoreError:
        if fault.status == _CHANGED:
            return ChecksumMismatch(f"blob {self._key} was written over while it was read: ask for its Result again")
        return fault.missing_error(self._connection.target, self._key)


class _RangeEmpty(ResultStoreError):
    """The range begins at the blob's end, or behind it."""


class _Opened:
    """obstore's GetResult, with the names that it lacks types for."""

    def __init__(self, body: object) -> None:
        self.body = body
        self.range: tuple[int, int] = body.range  # type: ignore[attr-defined]  # see Upload._write
        self.etag: str | None = body.meta["e_tag"]  # type: ignore[attr-defined]  # the same
