"""S3Listing: the keys of a bucket, page by page, whatever else the bucket holds."""

from collections.abc import Iterator, Sequence
from functools import partial
from types import ModuleType

from resultstore.blobs.blobstore import Stored
from resultstore.blobs.keys import is_key
from resultstore.blobs.obstore.client import ObstoreClient
from resultstore.blobs.obstore.errors import RequestFailure
from resultstore.blobs.obstore.listing import PAGE_KEYS, BlobListing, ListedObject, described, stored
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.model.errors import ResultStoreError


class S3Listing(BlobListing):
    """Lists by obstore; by boto3 the pages that obstore cannot read.

    obstore refuses a whole page for one name with a control character. It also cuts the `/` off the name of a "folder"
    (which consoles make), so that a listing after that name begins with it again, forever.

    Args:
        client: sends obstore's requests.
        bucket: sends boto3's.
    """

    def __init__(self, client: ObstoreClient, bucket: S3Bucket) -> None:
        super().__init__(client)
        self._bucket = bucket

    def pages(self, folder: str) -> Iterator[Sequence[Stored]]:
        """Yield the objects below `folder` in the order of names, a page with each request."""
        after: str | None = ""
        while after is not None:
            page, after = self._page(folder, after=after)
            yield page

    def check(self, folder: str) -> None:
        """List one page. Raises BlobStoreUnavailable when the store refuses."""
        self._page(folder, after="")

    def _page(self, folder: str, *, after: str) -> tuple[Sequence[Stored], str | None]:
        """Return some objects after the name `after`, and the name of the last; None when there are no more."""
        if not after or is_key(after):
            page = self._quick_page(folder, after=after)
            if page is not None and not page:
                return (), None
            if page and page[-1].key > after:
                return page, page[-1].key
        return self._any_page(folder, after=after)

    def _quick_page(self, folder: str, *, after: str) -> Sequence[Stored] | None:
        """Return a page by obstore; None if obstore refuses one of its names."""

        def request(library: ModuleType, store: object) -> Sequence[Stored] | None:
            pages = library.list(store, folder or None, offset=after or None, chunk_size=PAGE_KEYS)
            try:
                batch: Sequence[ListedObject] | None = next(iter(pages), None)
            except library.exceptions.InvalidPathError:
                return None
            return [stored(one) for one in batch or ()]

        return self._client.send(request, failed=partial(self._error, folder))

    def _any_page(self, folder: str, *, after: str) -> tuple[Sequence[Stored], str | None]:
        target = self._bucket.target
        start = target.object_key("")
        answer = self._bucket.run(
            lambda client: client.list_objects_v2(
                Bucket=target.bucket,
                Prefix=f"{start}{folder}/" if folder else start,
                StartAfter=f"{start}{after}" if after else "",
                MaxKeys=PAGE_KEYS,
            ),
            what=described(folder),
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

    def _error(self, folder: str, failure: RequestFailure) -> ResultStoreError:
        return failure.error(self._client.where, described(folder))
