"""MemoryListing: lists ids and reads many records, in this process."""

from collections.abc import Iterator, Sequence
from itertools import islice

from resultstore.index.index import Owned
from resultstore.index.memory.owner_lists import MemoryOwnerLists
from resultstore.index.memory.records import MemoryRecords
from resultstore.index.record_decoder import RecordDecoder
from resultstore.model import record
from resultstore.model.result import Result


class MemoryListing:
    """Implements `Listing`.

    Args:
        records: what is listed and read.
        owners: what is stored of each owner beyond the records.
    """

    def __init__(self, records: MemoryRecords, owners: MemoryOwnerLists) -> None:
        self._records = records
        self._owners = owners
        self._decoder = RecordDecoder()

    def ids(self, *, owner: str | None = None, limit: int = 100) -> Iterator[str]:
        """Yield up to `limit` ids, the newest first."""
        if owner is not None:
            return islice((one.id for one in self.owned(owner)), limit)
        live = sorted(self._records.living(), key=lambda item: item[1].made_at, reverse=True)
        return islice((key for key, _ in live), limit)

    def owned(self, owner: str) -> Iterator[Owned]:
        """Yield the owner's Results that have a record or stored bytes, the newest first."""
        made_at = {key: entry.made_at for key, entry in self._records.living() if entry.owner == owner}
        made_at |= self._owners.listed(owner)
        deleted = {one for one in made_at if (main := self._records.read(one)[0]) and record.is_tombstone(main)}
        newest = sorted(made_at.items(), key=lambda item: (item[1], item[0]), reverse=True)
        return iter([Owned(one, at) for one, at in newest if one not in deleted])

    def everything(self, owner: str) -> list[str]:
        """Return every id of this owner that may have stored bytes."""
        living = [key for key, entry in self._records.living() if entry.owner == owner]
        return list(dict.fromkeys([*living, *self._owners.everything(owner)]))

    def peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return what `peek` returns for each id; None also for an unreadable record."""
        return self._decoder.decode_small_many((one, self._records.read(one)[0]) for one in result_ids)

    def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return what `load` returns for each id; None also for an unreadable record."""
        return self._decoder.decode_whole_many((one, *self._records.read(one)) for one in result_ids)

    @property
    def unreadable_total(self) -> int:
        """Return how many unreadable records were skipped."""
        return self._decoder.unreadable_total
