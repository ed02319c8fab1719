"""S3Listing: the keys of a bucket, page by page, whatever else stands in it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from types import ModuleType
from typing import TypedDict

from resultstore.blobs.blobstore import Stored
from resultstore.blobs.keys import is_key
from resultstore.blobs.obstore.client import ObstoreClient
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.blobs.s3.errors import S3Failure
from resultstore.model.errors import ResultStoreError

_PAGE_KEYS = 1000  # what ListObjectsV2 answers at most: one request a page


class ListedObject(TypedDict):
    """What obstore says of one object."""

    path: str
    size: int
    e_tag: str | None
    last_modified: datetime


class S3Listing:
    """Lists by obstore, and by boto3 the pages that obstore cannot read.

    obstore refuses a whole page for one name with a control character, and takes the `/` off the end of the name of a
    "folder" (which consoles make), so that a listing behind it begins with it again, for ever.

    Args:
        connection: sends obstore's requests.
        bucket: sends boto3's.
    """

    def __init__(self, connection: ObstoreClient, bucket: S3Bucket) -> None:
        self._connection = connection
        self._bucket = bucket

    def blobs(self, prefix: str) -> Iterator[Stored]:
        """Every blob whose key begins with `prefix`; objects whose names cannot be keys are left out."""
        # obstore lists whole segments only: what begins with the rest is sorted out here.
        folder = prefix.rpartition("/")[0]
        if folder and not is_key(folder):
            return
        after: str | None = ""
        while after is not None:
            page, after = self._page(folder, after=after)
            yield from (one for one in page if one.key.startswith(prefix) and is_key(one.key))

    def check(self, folder: str) -> None:
        """List something. Raises BlobStoreUnavailable where that cannot be done."""
        self._page(folder, after="")

    def _page(self, folder: str, *, after: str) -> tuple[Sequence[Stored], str | None]:
        """Some blobs behind the name `after`, and the name of the last; None when there are no more."""
        if not after or is_key(after):
            page = self._quick_page(folder, after=after)
            if page is not None and not page:
                return (), None
            if page and page[-1].key > after:
                return page, page[-1].key
        return self._any_page(folder, after=after)

    def _quick_page(self, folder: str, *, after: str) -> Sequence[Stored] | None:
        """A page by obstore; None where one name in it is none that obstore takes."""

        def request(library: ModuleType, client: object) -> Sequence[Stored] | None:
            pages = library.list(client, folder or None, offset=after or None, chunk_size=_PAGE_KEYS)
            try:
                batch: Sequence[ListedObject] | None = next(iter(pages), None)
            except library.exceptions.InvalidPathError:
                return None
            return [stored(one) for one in batch or ()]

        return self._connection.send(request, failed=partial(self._error, folder))

    def _any_page(self, folder: str, *, after: str) -> tuple[Sequence[Stored], str | None]:
        target = self._bucket.target
        start = target.object_key("")
        answer = self._bucket.run(
            lambda client: client.list_objects_v2(
                Bucket=target.bucket,
                Prefix=f"{start}{folder}/" if folder else start,
                StartAfter=f"{start}{after}" if after else "",
                MaxKeys=_PAGE_KEYS,
            ),
            what=_what(folder),
        )
        page = [
            Stored(
                key=one["Key"].removeprefix(start),
                size_bytes=one["Size"],
                etag=one["ETag"].strip('"'),
                modified_at=one["LastModified"].timestamp(),
            )
            for one in answer.get("Contents", ())
        ]
        return page, page[-1].key if page else None

    def _error(self, folder: str, fault: S3Failure) -> ResultStoreError:
        return fault.error(self._connection.target, _what(folder))


def stored(meta: ListedObject) -> Stored:
    """One object as obstore tells of it."""
    return Stored(
        key=meta["path"],
        size_bytes=meta["size"],
        etag=(meta["e_tag"] or "").strip('"'),
        modified_at=meta["last_modified"].timestamp(),
    )


def _what(folder: str) -> str:
    return f"listing of {folder or 'all blobs'}"
