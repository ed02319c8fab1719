"""S3Blobs: a BlobStore in a bucket of MinIO or any S3."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial

from resultstore.blobs.blobstore import Part, Stored
from resultstore.blobs.keys import checked_key
from resultstore.blobs.obstore.client import ObstoreClient, TimeLimits
from resultstore.blobs.obstore.driver import ObstoreBlobs
from resultstore.blobs.obstore.errors import RequestFailure
from resultstore.blobs.obstore.retry import Retries
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.blobs.s3.clock import StoreClock
from resultstore.blobs.s3.copies import S3Copies
from resultstore.blobs.s3.credential_chain import CredentialChain
from resultstore.blobs.s3.credentials import CredentialSource
from resultstore.blobs.s3.errors import S3Failure
from resultstore.blobs.s3.listing import S3Listing
from resultstore.blobs.s3.multipart import S3Parts
from resultstore.blobs.s3.obstore_s3 import S3StoreOpener
from resultstore.blobs.s3.target import S3Target
from resultstore.blobs.s3.unsigned_headers import S3UnsignedHeaders
from resultstore.model.errors import BlobStoreUnavailable, ResultStoreError


class S3Blobs(ObstoreBlobs):
    """BlobStore, MultipartStore, ConditionalCopier, ProbedCapabilities and UnsignedHeaderReader in a bucket.

    Data goes by obstore, control requests by boto3. Threads may share it; a forked process can go on using it.

    Args:
        target: the bucket and how to reach it.
        credentials: returns the current access key; boto3's provider chain unless given.
        limits: how long to wait for the store.
        retries: how often an idempotent request is sent again.
    """

    def __init__(
        self,
        target: S3Target,
        *,
        credentials: CredentialSource | None = None,
        limits: TimeLimits | None = None,
        retries: Retries | None = None,
    ) -> None:
        credentials = credentials or CredentialChain()
        limits, retries = limits or TimeLimits(), retries or Retries()
        client = ObstoreClient(
            S3StoreOpener(target, credentials),
            where=target.where,
            failures=S3Failure,
            part_size_bytes=target.part_size_bytes,
            limits=limits,
            retries=retries,
        )
        clock = StoreClock(target, timeout_s=limits.idle_s, retries=retries)
        super().__init__(client, now=clock.now, abandon=self._abort_uploads)
        self._bucket = S3Bucket(target, credentials=credentials, retries=retries)
        self._listing = S3Listing(client, self._bucket)
        self._copies = S3Copies(self._bucket, self.stat)
        self._parts = S3Parts(self._bucket, self.stat)
        self._unsigned_headers = S3UnsignedHeaders(self._bucket)

    @property
    def where(self) -> str:
        """Return how errors name this store: its bucket and endpoint."""
        return self._client.where

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yield every blob whose key begins with `prefix`, in the order of keys. A page that fails is read again."""
        return self._listing.blobs(prefix)

    def copy(self, key: str, to: str, *, etag: str) -> Stored:
        """Copy the blob under `key` to `to` if its entity tag is `etag`."""
        return self._copies.copy(key, to, etag=etag)

    def begin_parts(self, key: str, *, media_type: str) -> str:
        """Begin a multipart upload and return its id."""
        return self._parts.begin(key, media_type=media_type)

    def parts(self, key: str, *, upload_id: str) -> tuple[Part, ...]:
        """Return the parts that have arrived, by number. Raises BlobMissing when the upload is over."""
        return self._parts.parts(key, upload_id=upload_id)

    def complete_parts(self, key: str, *, upload_id: str, parts: Sequence[Part]) -> Stored:
        """Make one blob of these parts if the key is still free. After a lost answer, what is stored decides."""
        return self._parts.complete(key, upload_id=upload_id, parts=parts)

    def abort_parts(self, key: str, *, upload_id: str) -> None:
        """Delete a multipart upload and its parts. One that is over is no error."""
        self._parts.abort(key, upload_id=upload_id)

    def unsigned_headers(self, key: str) -> tuple[str, ...]:
        """Return the names of headers that a client added to an upload. Raises BlobMissing."""
        return self._unsigned_headers.names(key)

    def _stat_error(self, key: str, failure: RequestFailure) -> ResultStoreError:
        """Send a request whose answer has a body: HEAD reports neither a missing bucket nor a foreign encryption."""
        if failure.missing:
            self._listing.check(key)
        if failure.unclear:
            self._client.send(
                lambda library, store: library.get_range(store, checked_key(key), start=0, length=1),
                failed=partial(super()._stat_error, key),
            )
        return super()._stat_error(key, failure)

    def _abort_uploads(self, key: str) -> None:
        """Best effort: the store collects what cannot be aborted now."""
        with suppress(BlobStoreUnavailable):
            self._bucket.abort_uploads(key)
