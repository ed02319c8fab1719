"""Sweep: deletes expired objects in stores without lifecycle rules, such as a folder."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import msgspec

from resultstore.blobs.blobstore import BlobStore
from resultstore.model import layout, seal as documents
from resultstore.model.errors import BlobMissing, Damaged, ResultStoreError
from resultstore.model.mac import Macs
from resultstore.ops.lifecycle import BLOB_GRACE_DAYS, SEAL_GRACE_DAYS
from resultstore.store.seals import read_document
from resultstore.telemetry.logs import Log
from resultstore.telemetry.tolerance import FailureTolerance

_log = Log(__name__)

BATCH_KEYS = 1_000  # what S3's DeleteObjects takes at once
_OLD_TOMBSTONE_S = layout.DAY_S  # for tombstones without expiry, which earlier versions wrote


class SweepOutcome(msgspec.Struct, frozen=True):
    """How many blobs (with share links and their uses) and seals were deleted."""

    blobs: int
    seals: int


def sweep(blobs: BlobStore, macs: Macs) -> SweepOutcome:
    """Delete blobs and share links a day after their class has expired, and seals three days after their Result.

    The grace periods are those of the lifecycle rules (docs/format.md), so that a late reader gets "expired" instead of
    "unknown". Safe to run concurrently with readers, writers and itself; after a crash run it again.
    """
    now = blobs.now()
    old_content = chain(_old_blobs(blobs, now), _old_shares(blobs, now))
    return SweepOutcome(_delete(blobs, old_content), _delete(blobs, _old_seals(blobs, macs, now)))


def _old_blobs(blobs: BlobStore, now: float) -> Iterator[str]:
    for retention, length_s in layout.RETENTION_S.items():
        if length_s is None:
            continue
        before = now - length_s - BLOB_GRACE_DAYS * layout.DAY_S
        for area in ("blobs", "uploads"):
            yield from (one.key for one in blobs.list(f"{area}/{retention}/") if one.modified_at < before)


def _old_shares(blobs: BlobStore, now: float) -> Iterator[str]:
    for one in blobs.list("shares/"):
        parts = layout.parse_share_key(one.key)
        length_s = None if parts is None else layout.RETENTION_S[parts[1]]
        if length_s is not None and one.modified_at < now - length_s - BLOB_GRACE_DAYS * layout.DAY_S:
            yield one.key


def _old_seals(blobs: BlobStore, macs: Macs, now: float) -> Iterator[str]:
    shortest_s = min(length_s for length_s in layout.RETENTION_S.values() if length_s is not None)
    grace_s = SEAL_GRACE_DAYS * layout.DAY_S
    tolerance = FailureTolerance(_log, "seal_not_swept")
    for stored in blobs.list("seals/"):
        if stored.modified_at >= now - shortest_s - grace_s:
            continue
        ended_at = None
        with tolerance.each(key=stored.key):
            ended_at = _ended_at(blobs, macs, stored.key)
        if ended_at is not None and ended_at + grace_s < now:
            yield stored.key


def _ended_at(blobs: BlobStore, macs: Macs, key: str) -> float | None:
    """Return when the Result of this seal expires; None if it never does, or if the seal cannot be read."""
    try:
        seal = documents.parse(read_document(blobs, key, of=key), macs, of=key)
    except (BlobMissing, Damaged):
        return None  # another sweep deleted it, or it is damaged: `resultstore show` reports that
    if seal.state == documents.DELETED and seal.expires_at is None:
        return seal.sealed_at + _OLD_TOMBSTONE_S
    return seal.expires_at


def _delete(blobs: BlobStore, keys: Iterable[str]) -> int:
    rest, count = iter(keys), 0
    tolerance = FailureTolerance(_log, "blob_not_swept")
    while batch := list(islice(rest, BATCH_KEYS)):
        count += _delete_batch(blobs, batch, tolerance)
    return count


def _delete_batch(blobs: BlobStore, keys: Sequence[str], tolerance: FailureTolerance) -> int:
    """Delete these keys and return the number of deleted ones. After an error, try each key alone."""
    try:
        blobs.delete(keys)
    except ResultStoreError:
        before = tolerance.failed
        for key in keys:
            with tolerance.each(key=key):
                blobs.delete([key])
        return len(keys) - (tolerance.failed - before)
    return len(keys)
