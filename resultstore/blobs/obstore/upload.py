"""Upload: one stream of unknown length on its way into one key, whole or not at all."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from types import ModuleType

from resultstore.blobs.blobstore import Chunk, Stored
from resultstore.blobs.obstore.client import ObstoreClient
from resultstore.blobs.part_plan import MAX_PARTS, PartPlan, pieces
from resultstore.blobs.s3.errors import S3Failure
from resultstore.model.errors import BlobMissing, ChecksumMismatch, ResultStoreError, TooLarge

_GIB = 1024**3


class StreamUpload:
    """Sends one stream: a single PUT up to one part, multipart beyond.

    A crash leaves at most unfinished parts, which no reader sees and the store collects. A part that fails is sent
    again by obstore, which holds its bytes; when it fails for good the upload ends: a stream cannot be played again.

    Args:
        connection: the bucket.
        key: the blob's key, which nobody else writes.
        media_type: stored as the object's Content-Type.
        stat: asks the store what stands under a key.
        abandon: ends every unfinished upload under a key, as far as the store can be reached.
    """

    def __init__(
        self,
        connection: ObstoreClient,
        key: str,
        *,
        media_type: str,
        stat: Callable[[str], Stored],
        abandon: Callable[[str], None],
    ) -> None:
        self._connection = connection
        self._key = key
        self._attributes = {"Content-Type": media_type}
        self._stat = stat
        self._abandon = abandon

    def send(self, chunks: Iterable[Chunk], *, size_hint_bytes: int | None, now: Callable[[], float]) -> Stored:
        """Send it all. What `chunks` raises passes through after the upload was aborted."""
        one_put_bytes = self._connection.target.part_size_bytes
        plan = PartPlan.of(one_put_bytes, size_hint_bytes=size_hint_bytes)
        if (size_hint_bytes or 0) > one_put_bytes:  # parts are needed in any case: begin with the first that is full
            one_put_bytes = min(one_put_bytes, plan.part_size_bytes)
        stream = pieces(chunks, most_bytes=one_put_bytes)
        first, size_bytes = _first(stream, most_bytes=one_put_bytes)
        if size_bytes <= one_put_bytes:
            return self._put(first, size_bytes=size_bytes, modified_at=now())
        return self._put_parts(chain(_drained(first), stream), plan=plan)

    def _put(self, body: deque[memoryview], *, size_bytes: int, modified_at: float) -> Stored:
        """One PUT. Sent again when it fails: the key is ours alone, so the same bytes may be written twice."""
        # One limit for all sizes: a client is kept for each limit, with connections of its own.
        limits, target = self._connection.limits, self._connection.target
        client = self._connection.client(idle_s=limits.upload_idle_s(target.part_size_bytes))

        def request(library: ModuleType, _: object) -> str:
            # An iterator is not joined before it is sent (obstore/src/put.rs, PutInput::read_all).
            done = library.put(client, self._key, iter(body), attributes=self._attributes, use_multipart=False)
            return str(done["e_tag"])

        etag = self._connection.send(request, failed=self._error)
        return Stored(key=self._key, size_bytes=size_bytes, etag=etag.strip('"'), modified_at=modified_at)

    def _put_parts(self, stream: Iterator[memoryview], *, plan: PartPlan) -> Stored:
        sent_bytes = 0
        writer = self._writer(plan)
        try:
            for piece in stream:
                sent_bytes += piece.nbytes
                self._check_fits(sent_bytes, plan)
                self._write(writer, piece)
        except BaseException as error:  # also KeyboardInterrupt and a time limit's signal: nothing may stay behind
            self._abort(writer, error)
            raise
        return self._completed(writer, sent_bytes)

    def _writer(self, plan: PartPlan) -> object:
        """A writer, which runs outside the producer, so that a producer may read from the store itself.

        Handing the iterator to `obstore.put` calls it inside the runtime, where a read panics.
        """
        return self._connection.library.open_writer(
            self._client(plan),
            self._key,
            attributes=self._attributes,
            buffer_size=plan.part_size_bytes,
            max_concurrency=plan.in_flight,
        )

    def _client(self, plan: PartPlan) -> object:
        limits, retries = self._connection.limits, self._connection.retries
        return self._connection.client(idle_s=limits.upload_idle_s(plan.in_flight_bytes), part_tries=retries.tries)

    def _write(self, writer: object, piece: memoryview) -> None:
        try:
            writer.write(piece)  # type: ignore[attr-defined]  # obstore's classes have no types at run time
        except self._connection.errors as error:
            raise self._error(S3Failure.of(error)) from error

    def _completed(self, writer: object, sent_bytes: int) -> Stored:
        """Complete, then ask what stands there.

        A lost answer to Complete, or NoSuchUpload after one, does not say whether it was done; under a key that nobody
        shares, the size does. Some stores also keep torn bytes of an upload that they call complete.
        """
        fault: S3Failure | None = None
        try:
            writer.close()  # type: ignore[attr-defined]  # the same
        except self._connection.errors as error:
            fault = S3Failure.of(error)
        try:
            stored = self._stat(self._key)
        except BlobMissing as error:
            self._abandon(self._key)  # obstore aborts too, once, and what failed may fail again
            raise self._error(fault or S3Failure.of(error)) from error
        if stored.size_bytes != sent_bytes:
            raise ChecksumMismatch(
                f"blob {self._key}: {sent_bytes} bytes were sent, the store keeps {stored.size_bytes}: run it again"
            )
        return stored

    def _abort(self, writer: object, error: BaseException) -> None:
        try:
            writer.__exit__(type(error), error, error.__traceback__)  # type: ignore[attr-defined]  # the same
        except self._connection.errors:
            self._abandon(self._key)
        else:
            if isinstance(
                error, ResultStoreError
            ):  # the store failed: it may have begun an upload that we never heard of
                self._abandon(self._key)

    def _check_fits(self, sent_bytes: int, plan: PartPlan) -> None:
        if sent_bytes > plan.max_bytes:
            raise TooLarge(
                f"blob {self._key} is longer than {MAX_PARTS:,} parts of {plan.part_size_bytes:,} bytes"
                f" ({plan.max_bytes / _GIB:.1f} GiB): give size_hint_bytes, so that larger parts are used"
            )

    def _error(self, fault: S3Failure) -> ResultStoreError:
        return fault.error(self._connection.target, f"blob {self._key}")


def _first(stream: Iterator[memoryview], *, most_bytes: int) -> tuple[deque[memoryview], int]:
    """The pieces at the head of `stream` up to just over `most_bytes`, and their length."""
    head: deque[memoryview] = deque()
    size_bytes = 0
    for piece in stream:
        head.append(piece)
        size_bytes += piece.nbytes
        if size_bytes > most_bytes:
            break
    return head, size_bytes


def _drained(head: deque[memoryview]) -> Iterator[memoryview]:
    """Hand out and forget: what is sent must not stay in memory."""
    with suppress(IndexError):
        while True:
            yield head.popleft()
