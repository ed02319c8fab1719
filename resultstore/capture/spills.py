"""Spills: stores plain values that are too large for a message, and reads them back, verified (claim check)."""

import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from resultstore.blobs import zstd_frames
from resultstore.blobs.blobstore import BlobStore, Chunk
from resultstore.blobs.stream import Meter, join, limited
from resultstore.blobs.zstd_frames import FrameTable
from resultstore.model import layout
from resultstore.model.errors import (
    ArtifactExpired,
    ArtifactMissing,
    BadReference,
    BlobMissing,
    ChecksumMismatch,
    Misconfigured,
    NotYours,
)
from resultstore.model.spill import Spill
from resultstore.store import Store
from resultstore.store.attempt import Attempt
from resultstore.store.required import NO_BLOBS
from resultstore.store.seals import longest_class

PURPOSE: Final = "spill"
SLACK_S: Final = 7 * layout.DAY_S  # a message may wait this long after the time for which it was scheduled
_EXPECTED_BYTES: Final = 16 << 20  # a value fits into memory, so it is a small upload, whatever its exact length
_AT_ONCE_BYTES: Final = 4 << 20
_RUN_BYTES: Final = 2 << 20  # each thread that decompresses a larger value holds this much
CACHE_MAX_BYTES: Final = 32 << 20
REMEMBERED: Final = 1_000  # references of uploaded arguments, at about a KiB each
_SHARED: Final = "spill-"  # begins the ids of arguments; they are no Result's ids, so deleting a Result keeps them
_ARGUMENT: Final = re.compile(rf"{_SHARED}[0-9a-f]{{8}}-(?:[0-9a-f]{{4}}-){{3}}[0-9a-f]{{12}}\Z")


def is_argument(id: str) -> bool:
    """Return whether this is the id of a spilled argument, and not of a Result."""
    return _ARGUMENT.match(id) is not None


Content = tuple[str, str, str]  # arguments that agree in these are the same: digest, serializer, owner


class SpillTarget(msgspec.Struct, frozen=True):
    """Where a value is stored, who owns it and when it expires."""

    id: str
    key: str
    owner: str
    expires_at: int | None


class Spills:
    """Writes and reads the spilled values of one store.

    Args:
        store: stores the bytes. Without an object store nothing can be spilled.
    """

    def __init__(self, store: Store) -> None:
        self._blobs = store.blobs
        self._owners = store.owner_lister
        self._settings = store.settings
        self._macs = store.signatures.macs
        # Caches; each access reads or writes one key, so threads need no lock.
        self._kept: dict[Content, Spill] = {}
        self._fetched: dict[str, Chunk] = {}

    @property
    def is_available(self) -> bool:
        """Whether there is an object store, so that values can be spilled."""
        return self._blobs is not None

    @property
    def limit_bytes(self) -> int:
        """The largest size at which an encoded value is still sent in the message."""
        return self._settings.results.inline_max_bytes

    def keep_value(self, content: Iterable[Chunk], *, attempt: Attempt, media_type: str) -> Spill:
        """Store a return value of `attempt` as one of its blobs: it is discarded and deleted with them.

        It is kept for `settings.results.spill_keep`, or for the class of the Result if that is longer.

        Args:
            content: the value as its serializer writes it; streamed, never held as a whole.
            attempt: the running attempt.
            media_type: the serializer's content type.

        Raises TooLarge when the attempt may not store that much.
        """
        keeping = attempt.policy
        chosen = longest_class(
            [self._settings.results.spill_keep, keeping.retention or self._settings.results.retention]
        )
        expires_at = layout.expiry(chosen, start=attempt.started_by(self._needed.now()))
        where = SpillTarget(attempt.id, attempt.new_key(chosen), attempt.owner, expires_at)
        self._owners.add(attempt.owner, attempt.id, made_at=None, retention=chosen)
        meter = Meter(content, with_table=False)
        return self._put(
            meter, attempt.byte_budget.limit(meter), where, media_type, compress=keeping.compress is not False
        )

    def keep_argument(
        self, payload: bytes, *, media_type: str, owner: str = "", until: float = 0.0, compress: bool = True
    ) -> Spill:
        """Store an argument under an id of its own; the same bytes return the same reference again.

        Args:
            payload: the value as its serializer wrote it.
            media_type: the serializer's content type.
            owner: whose tasks may use it.
            until: when its message is used at the latest (epoch seconds); 0 for at once.
            compress: whether the blob is zstd.
        """
        content = (hashlib.sha256(payload).hexdigest(), media_type, owner)
        known = self._kept.get(content)
        if known is not None and self.outlives(known, until=until):
            return known
        now, own_id = self._needed.now(), _SHARED + str(uuid.uuid4())
        chosen = layout.shortest_class(max(now, until) + SLACK_S - now, least=self._settings.results.spill_keep)
        key = layout.blob_key(own_id, retention=chosen, nonce=layout.new_nonce(), n=0)
        where = SpillTarget(own_id, key, owner, layout.expiry(chosen, start=now))
        self._owners.add(owner, own_id, made_at=None, retention=chosen)
        meter = Meter([payload], with_table=False)
        kept = self._put(meter, meter, where, media_type, compress=compress)
        _remember(self._kept, content, kept, most=REMEMBERED)
        return kept

    def outlives(self, spill: Spill, *, until: float) -> bool:
        """Return whether this reference outlives a message that is used by `until` (epoch seconds; 0 for at once)."""
        return not spill.expired(max(self._needed.now(), until) + SLACK_S)

    def check(self, spill: Spill, *, owner: str | None) -> None:
        """Refuse a reference that is forged, belongs to another owner, or has expired.

        Args:
            spill: as a message carried it.
            owner: the running task's; None outside a task: a process that can read the message may read the value.

        Raises BadReference, NotYours, ArtifactExpired.
        """
        # Without a secret key only the form of the blob key is checked; with one, unsigned references are refused.
        unsigned = self._macs.accept_unsigned and not spill.mac
        if self._macs and not unsigned and not self._macs.agrees(spill.mac, PURPOSE, *spill.signed):
            raise BadReference(
                f"the reference to the value of {spill.id} was not signed with this RESULTSTORE_SECRET_KEY: "
                "give all processes the same key"
            )
        if not layout.is_content_key(spill.key):
            raise BadReference(f"the reference to the value of {spill.id} names a key outside this store")
        if owner is not None and spill.owner != owner:
            raise NotYours(f"the value of {spill.id} belongs to another owner than the task that received it")
        if spill.expired(self._needed.now()):
            day = datetime.fromtimestamp(spill.expires_at or 0, tz=UTC).date().isoformat()
            raise ArtifactExpired(f"the value of {spill.id} expired on {day}: run the task that made it again")

    def payload(self, spill: Spill, *, owner: str | None = None, cached: bool = True) -> Chunk:
        """Return the value as its serializer wrote it; this process fetches it once, and caches it.

        Args:
            spill: the reference.
            owner: as in `check`.
            cached: False for a value of a long series that is read once.

        Raises what `check` raises, ArtifactMissing when the value was deleted before its time, and ChecksumMismatch.
        """
        self.check(spill, owner=owner)
        found = self._fetched.get(spill.key)
        if found is None:
            found = join(self._verified(spill))
            if cached and len(found) <= CACHE_MAX_BYTES:
                self._fetched[spill.key] = found
                _shrink(self._fetched)
        self._remember_argument(spill)
        return found

    def pieces(self, spill: Spill, *, owner: str | None = None) -> Iterator[Chunk]:
        """Yield the same value, a MiB at a time if it has to be fetched. It is verified only after the last piece.

        Raises what `check` raises; the iterator raises ArtifactMissing and ChecksumMismatch.
        """
        self.check(spill, owner=owner)
        self._remember_argument(spill)
        found = self._fetched.get(spill.key)
        return self._verified(spill) if found is None else iter([found])

    def _remember_argument(self, spill: Spill) -> None:
        """Remember an argument that was received, so that sending it on sends the same reference."""
        if spill.id.startswith(_SHARED):
            _remember(self._kept, (spill.sha256, spill.media_type, spill.owner), spill, most=REMEMBERED)

    def _verified(self, spill: Spill) -> Iterator[bytes]:
        digest = hashlib.sha256()
        try:
            for piece in self._content(spill):
                digest.update(piece)
                yield piece
        except BlobMissing as error:
            raise ArtifactMissing(
                f"the value of {spill.id} was deleted before its time: run the task that made it again"
            ) from error
        if digest.hexdigest() != spill.sha256:
            raise ChecksumMismatch(f"the value of {spill.id} is damaged in the store: run the task that made it again")

    def _content(self, spill: Spill) -> Iterator[bytes]:
        """Yield the content, decompressed where needed. Raises BlobMissing and ChecksumMismatch."""
        what = f"the value of {spill.id}"

        def longer() -> ChecksumMismatch:
            return ChecksumMismatch(f"{what} is longer in the store than it was: run the task that made it again")

        stored = limited(self._needed.get(spill.key), max_bytes=spill.stored_bytes, error=longer)
        if not spill.encoding:
            yield from stored
            return
        if spill.stored_bytes <= _AT_ONCE_BYTES:  # a request for the table alone would cost more than it saves
            read_table = read = _slices(join(stored))
        else:
            read_table, read = self._ranges(spill.key), _InOrder(stored).read
        table = FrameTable.read(read_table, stored_bytes=spill.stored_bytes, size_bytes=spill.size_bytes, what=what)
        yield from zstd_frames.decompress(table, read, threads=zstd_frames.usual_threads(), run_bytes=_RUN_BYTES)

    def _ranges(self, key: str) -> zstd_frames.Read:
        return lambda start, size_bytes: b"".join(self._needed.get(key, start=start, size_bytes=size_bytes))

    def _put(
        self, meter: Meter, content: Iterable[Chunk], where: SpillTarget, media_type: str, *, compress: bool
    ) -> Spill:
        body = zstd_frames.compress(content) if compress else content
        stored = self._needed.put(
            where.key, body, media_type="application/octet-stream", size_hint_bytes=_EXPECTED_BYTES
        )
        spill = Spill(
            id=where.id,
            key=where.key,
            size_bytes=meter.size_bytes,
            stored_bytes=stored.size_bytes,
            sha256=meter.sha256,
            media_type=media_type,
            owner=where.owner,
            expires_at=where.expires_at,
            encoding="zstd" if compress else "",
        )
        return replace(spill, mac=self._macs.sign(PURPOSE, *spill.signed)) if self._macs else spill

    @property
    def _needed(self) -> BlobStore:
        if self._blobs is None:
            raise Misconfigured(NO_BLOBS)
        return self._blobs


class _InOrder:
    """Reads a stream as if it were a file, in order and only once."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._ahead = bytearray()

    def read(self, _start: int, size_bytes: int) -> bytes:
        """Return the next `size_bytes`; fewer where the stream ends."""
        while len(self._ahead) < size_bytes and (chunk := next(self._chunks, None)) is not None:
            self._ahead += chunk
        found = bytes(memoryview(self._ahead)[:size_bytes])
        del self._ahead[:size_bytes]
        return found


def _slices(stored: Chunk) -> zstd_frames.Read:
    view = memoryview(stored)
    return lambda start, size_bytes: view[start : start + size_bytes]


def _remember(kept: dict[Content, Spill], content: Content, spill: Spill, *, most: int) -> None:
    kept[content] = spill
    while len(kept) > most:
        kept.pop(next(iter(list(kept))), None)


def _shrink(fetched: dict[str, Chunk]) -> None:
    """Drop the oldest values until the rest fits the cache."""
    while sum(len(one) for one in list(fetched.values())) > CACHE_MAX_BYTES:
        fetched.pop(next(iter(list(fetched)), ""), None)
