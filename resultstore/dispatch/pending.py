"""Pending records: what is written about a task before its message is sent."""

from resultstore.index.index import Overwrite
from resultstore.model.errors import ResultDeleted
from resultstore.model.result import Result
from resultstore.store import Store


def save_pending(
    store: Store, pending: Result, *, over: Overwrite = Overwrite.IF_ABSENT, ttl_s: int | None = None
) -> None:
    """Write the PENDING record, so that polls of known work never ask the object store.

    Raises ResultDeleted for an id that was deleted: a task of that id could store nothing.
    """
    if not store.save(pending, over=over, ttl_s=ttl_s) and store.was_deleted(pending.id):
        raise ResultDeleted.of(pending.id)
