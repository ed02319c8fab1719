"""ArtifactReader: reads and verifies the content of Artifacts."""

import io
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from resultstore.blobs.blobstore import BlobStore
from resultstore.blobs.stream import BLOCK_BYTES, DIGEST_BYTES, Meter, limited, verified_blocks
from resultstore.blobs.zstd_frames import FrameTable, decompress
from resultstore.model import layout
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ArtifactExpired, BadReference, ChecksumMismatch, ResultMissing
from resultstore.model.result import Result
from resultstore.model.seal import DELETED
from resultstore.store.attempt import Attempt, current
from resultstore.store.ranges import RangeReader
from resultstore.store.reader import BlockReader
from resultstore.store.seals import Seals
from resultstore.store.signatures import Signatures


class ArtifactReader:
    """Opens Artifacts of one store for reading."""

    def __init__(self, blobs: BlobStore, seals: Seals, signatures: Signatures) -> None:
        self._blobs = blobs
        self._signatures = signatures
        self._seals = seals

    def reader(self, artifact: Artifact, *, on_behalf_of: str | None = None) -> io.RawIOBase:
        """Return a seekable reader of the Artifact's content; its first read makes the first request.

        Raises what `seconds_left` raises.
        """
        self.seconds_left(artifact, on_behalf_of=on_behalf_of)
        stored = self._stored_reader(artifact)
        return stored if not artifact.encoding else _decoded(stored, artifact)

    def ranges(self, artifact: Artifact, *, on_behalf_of: str | None = None) -> RangeReader:
        """Return a reader of byte ranges; its first read makes the first request. Raises what `seconds_left` raises."""
        self.seconds_left(artifact, on_behalf_of=on_behalf_of)

        def fetch(start: int, size_bytes: int) -> Iterator[bytes]:
            return self._blobs.get(artifact.key, start=start, size_bytes=size_bytes)

        return RangeReader(artifact, fetch=fetch, table=lambda: self._table(artifact), what=_called(artifact))

    def seconds_left(self, artifact: Artifact, *, on_behalf_of: str | None = None) -> float:
        """Return for how many seconds the Artifact may still be read, by the store's clock.

        Raises ArtifactExpired after its retention time, BadReference if this store did not create it or its key is not
        a content key, NotYours inside a task of another owner.
        """
        self._signatures.check(artifact, on_behalf_of=on_behalf_of)
        if not layout.is_content_key(artifact.key):
            raise BadReference(f"{_called(artifact)} names a key outside this store: look it up again")
        if artifact.expires_at is None:
            return math.inf
        left_s = artifact.expires_at - self._blobs.now()
        if left_s <= 0:
            raise ArtifactExpired(f"{_called(artifact)} expired on {_day(artifact.expires_at)}: run the task again")
        return left_s

    def value(self, result: Result) -> bytes | None:
        """Return the plain value of a sealed Result, or None if it has none.

        The expiry of a value in the record is checked by the local clock, so that a client needs only the index.
        Raises ArtifactExpired, or ResultMissing if the seal is gone: None would be a wrong value.
        """
        now = time.time() if result.value is not None else self._blobs.now()
        if result.expires_at is not None and now >= result.expires_at:
            raise ArtifactExpired(f"result {result.id} expired on {_day(result.expires_at)}: run the task again")
        if result.value is not None:
            return result.value
        seal = self._seals.read(result.id)
        if seal is None or seal.state == DELETED:
            raise ResultMissing(f"the seal of {result.id} is gone, and its value with it: run the task again")
        return self._seals.value(seal)

    def _stored_reader(self, artifact: Artifact) -> BlockReader:
        """Return a reader of the stored bytes that checks each MiB against the digest table before returning it."""
        what = _called(artifact)
        known: list[bytes] = []  # the digest table, read at the first use

        def blocks_from(number: int) -> Iterator[bytes]:
            if not known:
                known.append(self._table(artifact))
            stream = self._blobs.get(artifact.key, start=number * BLOCK_BYTES)
            return verified_blocks(stream, table=known[0], first_block=number, what=what)

        return BlockReader(blocks_from, size_bytes=artifact.stored_bytes, what=what)

    def _table(self, artifact: Artifact) -> bytes:
        """Return the digest table of the Artifact's blob: from the attempt, its sha256, the seal, or by reading it."""
        running = current()
        mine = running is not None and running.has_made(artifact)
        if running is not None and mine and artifact.name in running.tables:
            return running.tables[artifact.name]
        if artifact.stored_bytes <= BLOCK_BYTES and not artifact.encoding and artifact.sha256:
            return bytes.fromhex(artifact.sha256)[:DIGEST_BYTES]  # a single block has the digest of the whole
        if running is not None and mine:  # an adopted upload: later readers find the table in the seal
            running.set_table(artifact, self._measured(artifact).table)
            return running.tables[artifact.name]
        seal = self._seals.read(artifact.id)
        if seal is not None and artifact in seal.artifacts:
            table = self._seals.table(seal, artifact.name)
            if table is not None:
                return table
        return self._measured(artifact).table

    def _measured(self, artifact: Artifact) -> Meter:
        """Read an unsealed Artifact completely, to verify it and to compute its digest table."""

        def damaged() -> ChecksumMismatch:
            return ChecksumMismatch(f"{_called(artifact)} is damaged in the store: run its task again")

        meter = Meter(limited(self._blobs.get(artifact.key), max_bytes=artifact.stored_bytes, error=damaged))
        for _ in meter:
            pass
        changed = artifact.sha256 not in {"", meter.sha256} or meter.size_bytes != artifact.size_bytes
        if not artifact.encoding and changed:
            raise damaged()
        return meter

    def adopt(self, artifact: Artifact, attempt: Attempt) -> None:
        """Make a verified upload the first Artifact of `attempt`; its bytes stay in place.

        Raises BadReference if it is not an upload of this attempt, ChecksumMismatch if its bytes were replaced after
        they were verified, BlobMissing if it is gone.
        """
        self.seconds_left(artifact)
        if not artifact.key.startswith(tuple(layout.upload_prefixes(attempt.id))) or artifact.owner != attempt.owner:
            raise BadReference(f"{_called(artifact)} is not an upload of {attempt.id}: look it up again")
        stored = self._blobs.stat(artifact.key)
        if (stored.size_bytes, stored.etag) != (artifact.stored_bytes, artifact.etag):
            raise ChecksumMismatch(f"{_called(artifact)} was replaced after it was verified: upload it again")
        if artifact.sha256:
            attempt.adopt(artifact)
            return
        meter = self._measured(artifact)
        attempt.adopt(self._signatures.sign(msgspec.structs.replace(artifact, sha256=meter.sha256)))
        attempt.set_table(artifact, meter.table)


def _decoded(stored: BlockReader, artifact: Artifact) -> BlockReader:
    """Return a reader of the decompressed content; each zstd frame holds one block of 1 MiB."""
    buffered = io.BufferedReader(stored, buffer_size=BLOCK_BYTES)
    known: list[FrameTable] = []  # the seek table, read at the first use

    def read(start: int, size_bytes: int) -> bytes:
        buffered.seek(start)
        return buffered.read(size_bytes)

    def blocks_from(number: int) -> Iterator[bytes]:
        if not known:
            table = FrameTable.read(
                read, stored_bytes=artifact.stored_bytes, size_bytes=artifact.size_bytes, what=_called(artifact)
            )
            known.append(table)
        return decompress(known[0], read, start=number * BLOCK_BYTES)

    return BlockReader(blocks_from, size_bytes=artifact.size_bytes, what=_called(artifact))


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, tz=UTC).date().isoformat()


def _called(artifact: Artifact) -> str:
    return f"artifact {artifact.name} of {artifact.id}"
