"""Deleting: ends a Result for good, and keeps whatever comes late from bringing it back."""

from collections.abc import Callable

from resultstore.blobs.blobstore import BlobStore
from resultstore.index.index import Index
from resultstore.model import layout
from resultstore.model.errors import BlobStoreUnavailable, Damaged, NotThere, Refused
from resultstore.model.result import Result, State
from resultstore.store.lookup import BURIED_S
from resultstore.store.seals import Seals
from resultstore.telemetry.logs import Log

_log = Log(__name__)

# How long the index's tombstone is kept where the object store has none: as long as a message may wait in a queue.
ALONE_S = 7 * layout.DAY_S
# A success that was never sealed and that nobody owns: only a duplicate of its message can come late, and programs
# that forget each of millions of small results count on Redis being empty then.
SPENT_S = 3_600


class ResultDeleter:
    """Write a tombstone over the seal, one over the record, delete the blobs, then tell the owner.

    Whatever an attempt still writes meets a tombstone: its seal the first, its record the second.

    Args:
        index: the records.
        blobs, seals: the bytes and what binds them; None where there is no object store.
        find: looks an id up, seals included.
        uncount: called with owner and id when nothing is stored any more.
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
        """Delete a Result, whatever there is of it. May be repeated, and continues where an earlier call failed.

        Before the record's tombstone a look-up finds the whole Result, from then on none. A crash after it leaves
        blobs that nobody can find, which the next call or lifecycle collects.
        """
        known, damaged = self._known(result_id)
        owner = self._owner(known, result_id)
        spent = _is_spent(known)
        buried = not spent and self._buried(result_id, must=damaged or self._may_have_content(known))
        self._bury_record(result_id, owner=owner, ttl_s=BURIED_S if buried else SPENT_S if spent else ALONE_S)
        self._index.keys.drop(layout.order_key(result_id))
        if self._blobs is not None and not spent:
            for prefix in layout.content_prefixes(result_id):
                self._blobs.delete([stored.key for stored in self._blobs.list(prefix)])
        self._uncount(owner, result_id)
        if known is not None or owner:
            self._index.owners.remove_deleted(result_id, owner=owner)

    def tombstone(self, result_id: str) -> Result | None:
        """The record's tombstone, which says whose it was; None where there is none."""
        record = self._record(result_id)
        return record if record is not None and record.deleted else None

    def write_tombstone(self, result_id: str, *, owner: str) -> None:
        """End an id of which nothing is stored, and nothing was sealed: an upload that is given up."""
        self._bury_record(result_id, owner=owner, ttl_s=ALONE_S)
        self._index.owners.remove_deleted(result_id, owner=owner)

    def _buried(self, result_id: str, *, must: bool) -> bool:
        """Whether a tombstone is now in the object store. Raises BlobStoreUnavailable where there `must` be one."""
        if self._seals is None:
            return False
        try:
            self._seals.write_tombstone(result_id)
        except BlobStoreUnavailable as error:
            # A gateway that may not write seals can still end what holds nothing: a cancelled piece of work.
            if must:
                raise
            _log.warning("seal_not_buried", id=result_id, error=str(error))
            return False
        return True

    def _bury_record(self, result_id: str, *, owner: str, ttl_s: int) -> None:
        self._index.write_tombstone(result_id, owner=owner, ttl_s=ttl_s)

    def _owner(self, known: Result | None, result_id: str) -> str:
        """Whose it is; an earlier deletion that failed has left that in its tombstone."""
        known = known or self._record(result_id)
        return "" if known is None else known.owner

    def _record(self, result_id: str) -> Result | None:
        try:
            return self._index.peek(result_id)
        except Damaged:
            return None

    def _known(self, result_id: str) -> tuple[Result | None, bool]:
        """The Result, and whether something stands there that cannot be read or believed: that can still be buried."""
        try:
            return self._find(result_id), False
        except (Damaged, NotThere, Refused):
            return None, True

    def _may_have_content(self, known: Result | None) -> bool:
        # An upload is stored before there is a seal, whatever became of it.
        return known is not None and (known.sealed or not known.terminal or bool(known.artifacts))


def _is_spent(known: Result | None) -> bool:
    """Whether its outcome was a small value of nobody's, which was never anywhere but in the index."""
    if known is None or known.owner or known.sealed or known.artifacts:
        return False
    return known.state == State.SUCCESS
