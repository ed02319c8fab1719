"""Sweep: collects what has expired where the store has no lifecycle rules of its own: a folder."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

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
_OLD_TOMBSTONE_S = layout.DAY_S  # of those that name no end: earlier versions wrote them


class SweepOutcome(msgspec.Struct, frozen=True):
    """How many blobs and seals were deleted."""

    blobs: int
    seals: int


def sweep(blobs: BlobStore, macs: Macs) -> SweepOutcome:
    """Delete blobs a day after their class has ended, seals three days after their Result has.

    The same graces as the lifecycle rules have (docs/format.md), so that a late reader hears "expired" and not
    "unknown". May run beside readers, writers and another sweep; one that is killed is made up for by the next.
    """
    now = blobs.now()
    return SweepOutcome(_deleted(blobs, _old_blobs(blobs, now)), _deleted(blobs, _old_seals(blobs, macs, now)))


def _old_blobs(blobs: BlobStore, now: float) -> Iterator[str]:
    for retention, length_s in layout.RETENTION_S.items():
        if length_s is None:
            continue
        before = now - length_s - BLOB_GRACE_DAYS * layout.DAY_S
        for area in ("blobs", "uploads"):
            yield from (one.key for one in blobs.list(f"{area}/{retention}/") if one.modified_at < before)


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
    """When the Result of this seal expired; None when it is kept, or when nobody can tell."""
    try:
        seal = documents.parse(read_document(blobs, key, of=key), macs, of=key)
    except (BlobMissing, Damaged):
        return None  # another sweep took it, or `resultstore show` will say what is wrong with it
    if seal.state == documents.DELETED and seal.expires_at is None:
        return seal.sealed_at + _OLD_TOMBSTONE_S
    return seal.expires_at


def _deleted(blobs: BlobStore, keys: Iterable[str]) -> int:
    rest, count = iter(keys), 0
    tolerance = FailureTolerance(_log, "blob_not_swept")
    while batch := list(islice(rest, BATCH_KEYS)):
        count += _batch_deleted(blobs, batch, tolerance)
    return count


def _batch_deleted(blobs: BlobStore, keys: Sequence[str], tolerance: FailureTolerance) -> int:
    """Delete these keys; how many went. Where one of them cannot be deleted, each is tried by itself."""
    try:
        blobs.delete(keys)
    except ResultStoreError:
        before = tolerance.failed
        for key in keys:
            with tolerance.each(key=key):
                blobs.delete([key])
        return len(keys) - (tolerance.failed - before)
    return len(keys)
