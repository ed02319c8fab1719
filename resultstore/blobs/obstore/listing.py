"""Listing: the keys of an object store, by obstore."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypedDict

from resultstore.blobs.blobstore import Stored
from resultstore.blobs.keys import is_key
from resultstore.blobs.obstore.client import ObstoreClient

PAGE_KEYS = 1000  # what ListObjectsV2 answers at most: one request a page


class ListedObject(TypedDict):
    """What obstore reports of one object."""

    path: str
    size: int
    e_tag: str | None
    last_modified: datetime


class BlobListing:
    """Lists one store in a single stream, whose requests obstore sends again when they fail.

    Args:
        client: the store.
    """

    def __init__(self, client: ObstoreClient) -> None:
        self._client = client

    def blobs(self, prefix: str) -> Iterator[Stored]:
        """Yield every blob whose key begins with `prefix`; leave out objects whose names cannot be keys."""
        # obstore lists whole path segments only; the rest of the prefix is compared here.
        folder = prefix.rpartition("/")[0]
        if folder and not is_key(folder):
            return
        for page in self.pages(folder):
            yield from (one for one in page if one.key.startswith(prefix) and is_key(one.key))

    def pages(self, folder: str) -> Iterator[Sequence[Stored]]:
        """Yield the objects below `folder`, some at a time. Raises BlobStoreUnavailable."""
        client = self._client
        try:
            store = client.store(tries=client.retries.tries)
            stream = iter(client.library.list(store, folder or None, chunk_size=PAGE_KEYS))
            page: Sequence[ListedObject] | None = next(stream, None)
            while page is not None:
                yield [stored(one) for one in page]
                page = next(stream, None)
        except client.errors as error:
            raise client.failures.of(error).error(client.where, described(folder)) from error


def stored(meta: ListedObject) -> Stored:
    """Return one object as obstore reports it."""
    return Stored(
        key=meta["path"],
        size_bytes=meta["size"],
        etag=(meta["e_tag"] or "").strip('"'),
        modified_at=meta["last_modified"].timestamp(),
    )


def described(folder: str) -> str:
    """Return how errors name a listing of `folder`."""
    return f"listing of {folder or 'all blobs'}"
