"""ArtifactWriter: stores data as one Artifact of an attempt."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

import msgspec

from resultstore.blobs import zstd_frames
from resultstore.blobs.blobstore import BlobStore, Chunk
from resultstore.blobs.stream import Meter, OpenedSource, Source, open_source
from resultstore.model import layout
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.errors import BadReference, BlobStoreUnavailable, WrongType
from resultstore.model.names import is_media_type
from resultstore.model.result import Result
from resultstore.store.attempt import Attempt
from resultstore.store.metadata import checked_metadata
from resultstore.store.naming import DEFAULT_MEDIA_TYPE, HEAD_BYTES, GivenNames
from resultstore.store.signatures import Signatures

Report = Callable[[int, int], None]  # bytes sent, bytes in total (0: unknown)


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """The names and the options of a new Artifact; what the caller did not name is derived from the source."""

    given: GivenNames
    metadata: Mapping[str, Scalar]
    retention: str
    compress: bool


class ArtifactWriter:
    """Streams sources into `blobs`, and computes sizes and digests while streaming."""

    def __init__(self, blobs: BlobStore, signatures: Signatures) -> None:
        self._blobs = blobs
        self._signatures = signatures

    def write(
        self,
        attempt: Attempt,
        source: Source,
        label: Label,
        *,
        size_hint_bytes: int | None = None,
        report: Report | None = None,
    ) -> Artifact:
        """Store all of `source` as an Artifact of `attempt`, or nothing. Errors are those of `Store.put`.

        `report` receives how many bytes were sent, and how many there are (0 if that is unknown), after each MiB.
        """
        # Check before any byte is sent; metadata may change during the upload and is checked again.
        checked_media_type(label.given.media_type or DEFAULT_MEDIA_TYPE, id=attempt.id)
        checked_metadata(label.metadata, id=attempt.id)
        with open_source(source) as ready:
            attempt.byte_budget.check(ready.size_hint_bytes or 0)
            base = label.given.base_name(ready.file_name)
            name = attempt.reserve(base, may_number=not label.given.name)
            try:
                return self._store(attempt, name, ready, label=label, size_hint_bytes=size_hint_bytes, report=report)
            except BaseException:
                attempt.release(name)
                raise

    def _store(
        self,
        attempt: Attempt,
        name: str,
        ready: OpenedSource,
        *,
        label: Label,
        size_hint_bytes: int | None,
        report: Report | None,
    ) -> Artifact:
        key = attempt.new_key(label.retention)
        head, chunks = _head_of(ready.chunks) if label.given.needs_head(ready.file_name) else (b"", ready.chunks)
        names = label.given.names(name, ready.file_name, head=head)
        expected_bytes = _hint_of(size_hint_bytes, ready)
        content = Meter(chunks, with_table=not label.compress)
        allowed = attempt.byte_budget.limit(content)
        if report is not None:
            allowed = _reported(allowed, report, total_bytes=expected_bytes or 0)
        packed = Meter(zstd_frames.compress(allowed)) if label.compress else None
        written = content if packed is None else packed
        stored = self._blobs.put(key, packed or allowed, media_type=names.media_type, size_hint_bytes=expected_bytes)
        if stored.size_bytes != written.size_bytes:
            raise BlobStoreUnavailable(
                f"the store has {stored.size_bytes} of {written.size_bytes} bytes of {name} of {attempt.id}: "
                "it loses bytes, run `resultstore doctor`"
            )
        artifact = Artifact(
            id=attempt.id,
            name=name,
            file_name=names.file_name,
            key=key,
            etag=stored.etag,
            size_bytes=content.size_bytes,
            media_type=names.media_type,
            sha256=content.sha256,
            stored_bytes=stored.size_bytes,
            encoding="zstd" if label.compress else "",
            retention=label.retention,
            expires_at=layout.expiry(label.retention, start=attempt.started_by(self._blobs.now())),
            metadata=checked_metadata(label.metadata, id=attempt.id),
            owner=attempt.owner,
        )
        signed = self._signatures.sign(artifact)
        attempt.add(signed, written.table)
        return signed


def _hint_of(given: int | None, ready: OpenedSource) -> int | None:
    return ready.size_hint_bytes if given is None else given


def _head_of(chunks: Iterable[Chunk]) -> tuple[bytes, Iterable[Chunk]]:
    """Return the first bytes of `chunks`, and all of them."""
    ahead = iter(chunks)
    first = next(ahead, b"")
    # What is no chunk of bytes is refused where it is measured.
    head = bytes(memoryview(first).cast("B")[:HEAD_BYTES]) if isinstance(first, Chunk) and len(first) else b""
    return head, chain([first], ahead)


def _reported(chunks: Iterable[memoryview], report: Report, *, total_bytes: int) -> Iterator[memoryview]:
    """Yield `chunks`, and report what was taken of them."""
    sent_bytes = 0
    for chunk in chunks:
        yield chunk
        sent_bytes += chunk.nbytes
        report(sent_bytes, total_bytes)


def checked_media_type(media_type: str, *, id: str) -> str:
    """Return `media_type`. Raises WrongType if it is not safe in an HTTP header, where a newline starts a new one."""
    if not is_media_type(media_type):
        raise WrongType(f"{media_type[:40]!r} is not a media type (artifact of {id}): write type/subtype (RFC 6838)")
    return media_type


def earlier_artifact(sealed: Result, made: Artifact) -> Artifact:
    """Return the Artifact that an earlier put stored under this id. Raises BadReference if its content differs."""
    earlier = sealed.artifact(made.name)
    if earlier is None or earlier.sha256 != made.sha256:
        raise BadReference(f"result {made.id} is already sealed with other content: store this under another id")
    return earlier
