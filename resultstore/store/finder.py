"""ResultFinder: the half of a Store that finds Results by their ids, waits for them and lists them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Final

from resultstore.index.index import Index, Watch
from resultstore.model.artifact import Artifact, Scalar
from resultstore.model.errors import ArtifactMissing, ResultMissing
from resultstore.model.ids import id_of
from resultstore.model.result import Result
from resultstore.store.lookup import Lookup
from resultstore.store.waiting import wait_for

_FOUND_AT_ONCE: Final = 100


class ResultFinder:
    """Base class of Store: finds Results by the rules of docs/format.md.

    Args:
        index: stores the records, and announces their changes.
        lookup: reads the record, or the seal if that is needed.
    """

    def __init__(self, index: Index, lookup: Lookup) -> None:
        self.index = index
        self._lookup = lookup

    def load(self, result_id: str) -> Result | None:
        """Return the Result from its record or its seal, or None if the id is unknown."""
        return self._lookup.find(id_of(result_id))

    def artifact(self, result_id: str, name: str) -> Artifact:
        """Return one Artifact of a Result. Raises ResultMissing, or ArtifactMissing, which lists the names."""
        result = self.load(result_id)
        if result is None:
            raise ResultMissing(f"no result has the id {result_id!r}: it is unknown, was deleted or has expired")
        found = result.artifact(name)
        if found is None:
            names = ", ".join(repr(one.name) for one in result.artifacts[:20]) or "none"
            raise ArtifactMissing(f"result {result_id} has no artifact {name!r}; it has {names}")
        return found

    def find(
        self,
        *,
        name: str | None = None,
        metadata: Mapping[str, Scalar] | None = None,
        owner: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Artifact]:
        """Iterate over Artifacts by name and metadata; of an owner the newest Results first, else in any order.

        Each Result is read, a hundred at a time: this is for some thousand Results, not a search index. Which Results
        are looked through: see `ids`.

        Args:
            name: a pattern for the Artifact's name, such as `*.pdf` (`fnmatch`); upper and lower case differ.
            metadata: values that the Artifact's metadata must have.
            owner: whose Results; by default those of all owners that have a record in the index.
            limit: how many Results are looked through; by default all.
        """
        ids = self.ids(owner=owner, limit=limit)
        while batch := list(islice(ids, _FOUND_AT_ONCE)):
            for result_id, known in zip(batch, self.load_many(batch), strict=True):
                result = known if known is not None or owner is None else self.load(result_id)
                yield from () if result is None else result.find(name=name, metadata=metadata)

    def outcome(self, result_id: str) -> Result | None:
        """Read the seal, restore the record from it, and return the Result; None if no seal can be read."""
        return self.load(result_id) if self._lookup.restore(id_of(result_id)) else None

    def load_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return many Results in one round trip, in the order of their ids; None for an unknown id."""
        return self._lookup.find_many(list(map(id_of, result_ids)))

    def known_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Return the Results that the index alone knows, in the order of their ids; None for the others."""
        return self._lookup.known_many(list(map(id_of, result_ids)))

    def peek(self, result_id: str) -> Result | None:
        """Return the state and progress only: never reads a value or a list of Artifacts."""
        return self._lookup.poll(id_of(result_id))

    def peek_many(self, result_ids: Sequence[str]) -> list[Result | None]:
        """Do `peek` for many ids in one round trip, in the order of their ids."""
        return self._lookup.poll_many(list(map(id_of, result_ids)))

    def wait(self, result_id: str, *, timeout_s: float | None = None) -> Result:
        """Wait until the Result is terminal and return it. Raises TimeoutError after `timeout_s`, or ResultDeleted."""
        return wait_for(self.index, self.load, id_of(result_id), timeout_s=timeout_s, deleted=self.was_deleted)

    def was_deleted(self, result_id: str) -> bool:
        """Return True if this id was deleted; for a month no worker can store anything under it."""
        return self._lookup.was_deleted(id_of(result_id))

    def deleted_many(self, result_ids: Sequence[str]) -> list[str]:
        """Return the ids that the index knows to be deleted, in one round trip."""
        return self._lookup.deleted_many(list(map(id_of, result_ids)))

    def is_wanted(self, result_id: str) -> bool:
        """Return True if work of this id was neither cancelled nor deleted. Reads no value."""
        return self._lookup.is_wanted(id_of(result_id))

    def watch(self, result_id: str) -> AbstractContextManager[Watch]:
        """Subscribe to the changes of an id."""
        return self.index.events.watch(id_of(result_id))

    def ids(self, *, owner: str | None = None, limit: int | None = None) -> Iterator[str]:
        """Iterate over ids: with an owner all of theirs, the newest first; without one those that have a record.

        An owner's Result is listed for as long as its bytes are stored, also without a record in the index. A record
        lives for `settings.results.expires_s` (a day) after the Result was stored or restored. So without an owner
        older Results are left out: iterate over your own table of owners to reach them. A Result without an owner is
        then reached by its id alone.

        After the loss of Redis the lists are complete again when `resultstore rebuild` has ended.

        Args:
            owner: whose Results; by default all that have a record. Redis scans a million keys at most, and then logs
                the warning `scan_incomplete`.
            limit: how many ids; by default all.
        """
        return self.index.listing.ids(owner=owner, limit=sys.maxsize if limit is None else limit)
