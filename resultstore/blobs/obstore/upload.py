"""StreamUpload: sends one stream of unknown length to one key, whole or not at all."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from types import ModuleType

from resultstore.blobs.blobstore import Chunk, Stored
from resultstore.blobs.obstore.client import ObstoreClient
from resultstore.blobs.obstore.errors import RequestFailure
from resultstore.blobs.part_plan import MAX_PARTS, PartPlan, pieces
from resultstore.model.errors import BlobMissing, ChecksumMismatch, ResultStoreError, TooLarge

_GIB = 1024**3


class StreamUpload:
    """Sends one stream: a single PUT up to one part, multipart beyond.

    A crash leaves at most unfinished parts, which no reader sees and the store collects. obstore holds the bytes of a
    part and sends a part that failed again. When a part fails for good the upload ends: a stream cannot be repeated.

    Args:
        client: the store.
        key: the blob's key, which no other process writes.
        media_type: stored as the object's Content-Type.
        stat: returns what is stored under a key.
        abandon: aborts every unfinished upload of a key, as far as the store can be reached.
    """

    def __init__(
        self,
        client: ObstoreClient,
        key: str,
        *,
        media_type: str,
        stat: Callable[[str], Stored],
        abandon: Callable[[str], None],
    ) -> None:
        self._client = client
        self._key = key
        self._attributes = {"Content-Type": media_type} if client.keeps_media_types else None
        self._stat = stat
        self._abandon = abandon

    def send(self, chunks: Iterable[Chunk], *, size_hint_bytes: int | None, now: Callable[[], float]) -> Stored:
        """Send all of `chunks`. What they raise passes through after the upload was aborted."""
        one_put_bytes = self._client.part_size_bytes
        plan = PartPlan.of(one_put_bytes, size_hint_bytes=size_hint_bytes)
        if (size_hint_bytes or 0) > one_put_bytes:  # multipart in any case: begin when the first part is full
            one_put_bytes = min(one_put_bytes, plan.part_size_bytes)
        stream = pieces(chunks, most_bytes=one_put_bytes)
        first, size_bytes = _first(stream, most_bytes=one_put_bytes)
        if size_bytes <= one_put_bytes:
            return self._put(first, size_bytes=size_bytes, modified_at=now())
        return self._put_parts(chain(_drained(first), stream), plan=plan)

    def _put(self, body: deque[memoryview], *, size_bytes: int, modified_at: float) -> Stored:
        """Send one PUT, again when it fails: no other process writes the key, so writing it twice is harmless."""
        # One limit for all sizes: each limit has a store of its own, with its own connections.
        store = self._client.store(idle_s=self._client.limits.upload_idle_s(self._client.part_size_bytes))

        def request(library: ModuleType, _: object) -> str:
            # An iterator is not joined before it is sent (obstore/src/put.rs, PutInput::read_all).
            done = library.put(store, self._key, iter(body), attributes=self._attributes, use_multipart=False)
            return str(done["e_tag"])

        etag = self._client.send(request, failed=self._error)
        return Stored(key=self._key, size_bytes=size_bytes, etag=etag.strip('"'), modified_at=modified_at)

    def _put_parts(self, stream: Iterator[memoryview], *, plan: PartPlan) -> Stored:
        sent_bytes = 0
        writer = self._writer(plan)
        try:
            for piece in stream:
                sent_bytes += piece.nbytes
                self._check_fits(sent_bytes, plan)
                self._write(writer, piece)
        except BaseException as error:  # also KeyboardInterrupt and a time limit's signal: leave nothing unfinished
            self._abort(writer, error)
            raise
        return self._completed(writer, sent_bytes)

    def _writer(self, plan: PartPlan) -> object:
        """Return a writer, which runs outside the producer, so that the producer may read from the same store.

        `obstore.put` would call the iterator inside obstore's runtime, where a read panics.
        """
        limits, retries = self._client.limits, self._client.retries
        return self._client.library.open_writer(
            self._client.store(idle_s=limits.upload_idle_s(plan.in_flight_bytes), tries=retries.tries),
            self._key,
            attributes=self._attributes,
            buffer_size=plan.part_size_bytes,
            max_concurrency=plan.in_flight,
        )

    def _write(self, writer: object, piece: memoryview) -> None:
        try:
            writer.write(piece)  # type: ignore[attr-defined]  # obstore's classes have no types at run time
        except self._client.errors as error:
            raise self._error(self._client.failures.of(error)) from error

    def _completed(self, writer: object, sent_bytes: int) -> Stored:
        """Complete the upload, then compare the size of what is stored.

        A lost answer to Complete, or NoSuchUpload after one, does not say whether it was done. The size does, as no
        other process writes the key. Some stores also keep torn bytes of an upload that they call complete.
        """
        failure: RequestFailure | None = None
        try:
            writer.close()  # type: ignore[attr-defined]  # the same
        except self._client.errors as error:
            failure = self._client.failures.of(error)
        try:
            stored = self._stat(self._key)
        except BlobMissing as error:
            self._abandon(self._key)  # obstore tries to abort too, but only once
            raise self._error(failure or self._client.failures.of(error)) from error
        if stored.size_bytes != sent_bytes:
            raise ChecksumMismatch(
                f"blob {self._key}: {sent_bytes} bytes were sent, the store keeps {stored.size_bytes}: run it again"
            )
        return stored

    def _abort(self, writer: object, error: BaseException) -> None:
        try:
            writer.__exit__(type(error), error, error.__traceback__)  # type: ignore[attr-defined]  # the same
        except self._client.errors:
            self._abandon(self._key)
        else:
            # The store failed: it may have begun an upload whose id this process never received.
            if isinstance(error, ResultStoreError):
                self._abandon(self._key)

    def _check_fits(self, sent_bytes: int, plan: PartPlan) -> None:
        if sent_bytes > plan.max_bytes:
            raise TooLarge(
                f"blob {self._key} is longer than {MAX_PARTS:,} parts of {plan.part_size_bytes:,} bytes"
                f" ({plan.max_bytes / _GIB:.1f} GiB): give size_hint_bytes, so that larger parts are used"
            )

    def _error(self, failure: RequestFailure) -> ResultStoreError:
        return failure.error(self._client.where, f"blob {self._key}")


def _first(stream: Iterator[memoryview], *, most_bytes: int) -> tuple[deque[memoryview], int]:
    """Return the first pieces of `stream`, up to just over `most_bytes`, and their length."""
    head: deque[memoryview] = deque()
    size_bytes = 0
    for piece in stream:
        head.append(piece)
        size_bytes += piece.nbytes
        if size_bytes > most_bytes:
            break
    return head, size_bytes


def _drained(head: deque[memoryview]) -> Iterator[memoryview]:
    """Yield each piece and drop it, so that what was sent does not stay in memory."""
    with suppress(IndexError):
        while True:
            yield head.popleft()
