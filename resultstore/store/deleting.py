"""Deleting: ends a Result for good, in the order that makes a crash dull."""

from collections.abc import Callable

from resultstore.index.index import Index, Keeps, Streams
from resultstore.model import layout
from resultstore.model.errors import Damaged, NotThere, Refused
from resultstore.model.result import Result
from resultstore.store.sealing import Seals, SealStore


class Deleting:
    """Tombstone over the seal, then the record, then the blobs; then those who watch are told.

    Args:
        index: the records.
        blobs, seals: the bytes and what binds them; None where there is no object store.
        find: looks an id up, seals included.
    """

    def __init__(
        self, index: Index, *, blobs: SealStore | None, seals: Seals | None, find: Callable[[str], Result | None]
    ) -> None:
        self._index = index
        self._blobs = blobs
        self._seals = seals
        self._find = find

    def delete(self, result_id: str) -> None:
        """Delete a Result. A crash in between leaves blobs that nobody can find, which lifecycle collects."""
        known, damaged = self._known(result_id)
        if isinstance(self._index, Keeps):
            self._index.drop(layout.order_key(result_id))
        blobs, seals = self._blobs, self._seals
        if blobs is None or seals is None or not (damaged or self._may_have_content(known, result_id)):
            self._index.delete(result_id)
        else:
            seals.bury(result_id)
            self._index.delete(result_id)
            for prefix in layout.content_prefixes(result_id):
                blobs.delete([stored.key for stored in blobs.list(prefix)])
        if known is not None and isinstance(self._index, Streams):
            self._index.tell_gone(result_id, owner=known.owner)

    def _known(self, result_id: str) -> tuple[Result | None, bool]:
        """The Result, and whether something stands there that cannot be read or believed: that can still be buried."""
        try:
            return self._find(result_id), False
        except (Damaged, NotThere, Refused):
            return None, True

    def _may_have_content(self, known: Result | None, result_id: str) -> bool:
        if known is not None:
            # An upload stands there before there is a seal, whatever became of it.
            return known.sealed or not known.terminal or bool(known.artifacts)
        try:
            return self._seals is not None and self._seals.read(result_id) is not None
        except (Damaged, NotThere, Refused):
            return True
