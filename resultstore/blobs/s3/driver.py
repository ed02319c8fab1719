"""S3: a BlobStore in a bucket of MinIO or any S3 (the data path, by obstore)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import ModuleType

from resultstore.blobs.blobstore import AlreadyExists, Chunk, Created, OutcomeUnknown, Part, Stored
from resultstore.blobs.keys import checked_key
from resultstore.blobs.obstore.client import ObstoreClient, TimeLimits
from resultstore.blobs.obstore.download import Download
from resultstore.blobs.obstore.retry import Retries
from resultstore.blobs.obstore.upload import StreamUpload
from resultstore.blobs.s3.bucket import S3Bucket
from resultstore.blobs.s3.clock import StoreClock
from resultstore.blobs.s3.copies import S3Copies
from resultstore.blobs.s3.credential_chain import CredentialChain
from resultstore.blobs.s3.credentials import CredentialSource
from resultstore.blobs.s3.errors import S3Failure
from resultstore.blobs.s3.listing import S3Listing, stored
from resultstore.blobs.s3.multipart import S3Parts
from resultstore.blobs.s3.target import S3Target
from resultstore.blobs.s3.unsigned_headers import S3UnsignedHeaders
from resultstore.model.errors import BlobStoreUnavailable, ResultStoreError

_DELETED_AT_ONCE = 1000  # S3 API reference, DeleteObjects
_TAKEN = frozenset({409, 412})


class S3Blobs:
    """BlobStore, MultipartStore, ConditionalCopier, ProbedCapabilities and UnsignedHeaderReader in a bucket.

    Threads may share it; a forked process can go on using it.

    Args:
        target: the bucket and how to reach it.
        credentials: answers with the access key of the moment; boto3's provider chain unless given.
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
        self._target = target
        self._connection = ObstoreClient(target, credentials=credentials, limits=limits, retries=retries)
        self._bucket = S3Bucket(target, credentials=credentials, retries=retries)
        self._listing = S3Listing(self._connection, self._bucket)
        self._copies = S3Copies(self._bucket, self.stat)
        self._parts = S3Parts(self._bucket, self.stat)
        self._unsigned_headers = S3UnsignedHeaders(self._bucket)
        self._clock = StoreClock(target, timeout_s=limits.idle_s, retries=retries)

    @property
    def where(self) -> str:
        """How errors name this store: its bucket and endpoint."""
        return f"bucket {self._target.bucket} at {self._target.origin}"

    def put(self, key: str, chunks: Iterable[Chunk], *, media_type: str, size_hint_bytes: int | None = None) -> Stored:
        """Store all of `chunks` under `key`, or nothing. Memory: 4 parts in flight, one in the making.

        Without a hint 10,000 parts of 8 MiB is the limit (78 GiB); beyond, TooLarge asks for `size_hint_bytes`.
        """
        upload = StreamUpload(
            self._connection, checked_key(key), media_type=media_type, stat=self.stat, abandon=self._abandon
        )
        return upload.send(chunks, size_hint_bytes=size_hint_bytes, now=self.now)

    def get(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> Iterator[bytes]:
        """Stream the blob from byte `start`, `size_bytes` of it or all the rest. Raises BlobMissing at once."""
        if size_bytes == 0:  # HTTP has no empty range
            self.stat(key)
            return iter(())
        return Download(self._connection, checked_key(key)).stream(start=start, size_bytes=size_bytes)

    def stat(self, key: str) -> Stored:
        """What stands under `key`. Raises BlobMissing."""

        def request(library: ModuleType, client: object) -> Stored:
            return stored(library.head(client, checked_key(key)))

        return self._connection.send(request, failed=partial(self._stat_error, key))

    def delete(self, keys: Sequence[str]) -> None:
        """Remove these keys, a thousand with each request; one that does not exist is no error."""
        # MinIO answers a repeated key with XML that obstore refuses.
        every = list(dict.fromkeys(map(checked_key, keys)))
        for start in range(0, len(every), _DELETED_AT_ONCE):
            some = every[start : start + _DELETED_AT_ONCE]

            def request(library: ModuleType, client: object, some: Sequence[str] = some) -> None:
                library.delete(client, some)

            self._connection.send(request, failed=partial(self._error, f"deletion of {len(some)} blobs"))

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every blob whose key begins with `prefix`, in the order of keys. A page that fails is asked for again."""
        return self._listing.blobs(prefix)

    def create(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> Created | AlreadyExists | OutcomeUnknown:
        """Write the small `body` under `key` with If-None-Match: *, sent exactly once.

        Unknown after a server error, a cut or a time-out: the store may have written it before it failed. A second
        try here would take our own bytes for somebody else's. Definite refusals raise; only of AccessDenied, which
        wrote nothing and may pass, another try is made.
        """

        def request(library: ModuleType, client: object) -> Created | AlreadyExists | OutcomeUnknown:
            try:
                done = library.put(client, checked_key(key), body, mode="create", tags=dict(tags), use_multipart=False)
            except self._connection.errors as error:
                fault = S3Failure.of(error)
                if fault.status in _TAKEN:
                    return AlreadyExists()
                if fault.refused:
                    raise
                return OutcomeUnknown(f"{self._target.origin} gave no clear answer ({fault.summary}): {fault.remedy}")
            return Created(str(done["e_tag"]).strip('"'))

        return self._connection.send(request, failed=partial(self._error, f"blob {key}"))

    def replace(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> None:
        """Put the small `body` under `key`, whatever stands there; a reader sees the old bytes or the new."""

        def request(library: ModuleType, client: object) -> None:
            library.put(client, checked_key(key), body, tags=dict(tags), use_multipart=False)

        self._connection.send(request, failed=partial(self._error, f"blob {key}"))

    def copy(self, key: str, to: str, *, etag: str) -> Stored:
        """Copy the blob under `key` to `to` if its entity tag is `etag`."""
        return self._copies.copy(key, to, etag=etag)

    def begin_parts(self, key: str, *, media_type: str) -> str:
        """Begin a multipart upload; its id."""
        return self._parts.begin(key, media_type=media_type)

    def parts(self, key: str, *, upload_id: str) -> tuple[Part, ...]:
        """What has arrived, by number. Raises BlobMissing when the upload is over."""
        return self._parts.parts(key, upload_id=upload_id)

    def complete_parts(self, key: str, *, upload_id: str, parts: Sequence[Part]) -> Stored:
        """Make one blob of these parts where nothing stands; a lost answer is settled by what stands afterwards."""
        return self._parts.complete(key, upload_id=upload_id, parts=parts)

    def abort_parts(self, key: str, *, upload_id: str) -> None:
        """Drop a multipart upload; one that is over is no error."""
        self._parts.abort(key, upload_id=upload_id)

    def unsigned_headers(self, key: str) -> tuple[str, ...]:
        """Return the names of headers that a client added to an upload. Raises BlobMissing."""
        return self._unsigned_headers.names(key)

    def now(self) -> float:
        """Seconds since the epoch by the store's clock, measured every five minutes."""
        return self._clock.now()

    def _stat_error(self, key: str, fault: S3Failure) -> ResultStoreError:
        """HEAD has no body that names a missing bucket, or a foreign encryption; the next request tells."""
        if fault.missing:
            self._listing.check(key)
        if fault.unclear:
            self._connection.send(
                lambda library, client: library.get_range(client, checked_key(key), start=0, length=1),
                failed=partial(S3Failure.missing_error, target=self._target, key=key),
            )
        return fault.missing_error(self._target, key)

    def _abandon(self, key: str) -> None:
        """Best effort: what cannot be aborted now is collected by the store."""
        with suppress(BlobStoreUnavailable):
            self._bucket.abort_uploads(key)

    def _error(self, what: str, fault: S3Failure) -> ResultStoreError:
        return fault.error(self._target, what)
