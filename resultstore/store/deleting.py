"""ResultDeleter: deletes a Result permanently, so that late writes cannot restore it."""

from collections.abc import Callable

from resultstore.blobs.blobstore import BlobStore
from resultstore.index.index import Index
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable, Damaged, NotThere, Refused
from resultstore.model.result import Result, State
from resultstore.store.lookup import TOMBSTONE_S
from resultstore.store.seals import Seals
from resultstore.telemetry.logs import Log

_log = Log(__name__)

# Lifetime of a tombstone that only the index has: as long as a message may wait in a queue.
ALONE_S = 7 * layout.DAY_S
# Lifetime for a success without seal and owner: only a duplicate message can follow. It is short because programs
# forget millions of small results and expect Redis to be empty afterwards.
SPENT_S = 3_600


class ResultDeleter:
    """Writes a tombstone over the seal and one over the record, deletes the blobs, then notifies the owner.

    The first tombstone stops a late seal of an attempt, the second its late record.

    Args:
        index: stores the records.
        blobs, seals: store the bytes and the seals; None without an object store.
        find: looks an id up, seals included.
        uncount: called with owner and id after everything is deleted.
    """

    def __init__(
        self,
        index: Index,
        *,
        blobs: BlobStore | None,
        seals: Seals | None,
        find: Callable[[str], Result | None],
        uncount: Callable[[str, str], None],
    ) -> None:
        self._index = index
        self._blobs = blobs
        self._seals = seals
        self._find = find
        self._uncount = uncount

    def delete(self, result_id: str) -> None:
        """Delete seal, record, then blobs. Safe to repeat; a repeated call continues where an earlier one failed.

        Until the record's tombstone is written, a look-up finds the whole Result, afterwards none. A crash after it
        leaves only unreachable blobs, which the next call or a lifecycle rule deletes.
        """
        known, damaged = self._known(result_id)
        owner = self._owner(known, result_id)
        spent = _is_spent(known)
        has_seal_tombstone = not spent and self._write_seal_tombstone(
            result_id, must=damaged or self._may_have_content(known)
        )
        ttl_s = TOMBSTONE_S if has_seal_tombstone else SPENT_S if spent else ALONE_S
        self._write_record_tombstone(result_id, owner=owner, ttl_s=ttl_s)
        self._index.keys.drop(layout.order_key(result_id))
        if self._blobs is not None and not spent:
            for prefix in (*layout.content_prefixes(result_id), layout.share_prefix(result_id)):
                self._blobs.delete([stored.key for stored in self._blobs.list(prefix)])
        self._uncount(owner, result_id)
        if known is not None or owner:
            self._index.owners.remove_deleted(result_id, owner=owner)

    def tombstone(self, result_id: str) -> Result | None:
        """Return the record's tombstone, which names the owner, or None."""
        record = self._record(result_id)
        return record if record is not None and record.deleted else None

    def write_tombstone(self, result_id: str, *, owner: str) -> None:
        """Write a tombstone for an id that has no seal and no blobs: an abandoned upload."""
        self._write_record_tombstone(result_id, owner=owner, ttl_s=ALONE_S)
        self._index.owners.remove_deleted(result_id, owner=owner)

    def _write_seal_tombstone(self, result_id: str, *, must: bool) -> bool:
        """Write a tombstone over the seal; return True if it was written. Raises BlobStoreUnavailable with `must`."""
        if self._seals is None:
            return False
        try:
            self._seals.write_tombstone(result_id)
        except BlobStoreUnavailable as error:
            # A gateway without the right to write seals can still delete what has no content: a cancelled task.
            if must:
                raise
            _log.warning("seal_tombstone_failed", id=result_id, error=str(error))
            return False
        return True

    def _write_record_tombstone(self, result_id: str, *, owner: str, ttl_s: int) -> None:
        self._index.write_tombstone(result_id, owner=owner, ttl_s=ttl_s)

    def _owner(self, known: Result | None, result_id: str) -> str:
        """Return the owner; after an earlier deletion that failed, the tombstone names them."""
        known = known or self._record(result_id)
        return "" if known is None else known.owner

    def _record(self, result_id: str) -> Result | None:
        try:
            return self._index.peek(result_id)
        except Damaged:
            return None

    def _known(self, result_id: str) -> tuple[Result | None, bool]:
        """Return the Result, and True if it exists but cannot be read or is not authentic: it can still be deleted."""
        try:
            return self._find(result_id), False
        except (Damaged, NotThere, Refused):
            return None, True

    def _may_have_content(self, known: Result | None) -> bool:
        # An upload is stored before there is a seal, so any unfinished Result may have content.
        return known is not None and (known.sealed or not known.terminal or bool(known.artifacts))


def _is_spent(known: Result | None) -> bool:
    """Return True for a success without owner, seal and Artifacts, which only the index has ever stored."""
    if known is None or known.owner or known.sealed or known.artifacts:
        return False
    return known.state == State.SUCCESS
