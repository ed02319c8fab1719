"""BlobStore and Signer: the contracts of an object store, their optional interfaces, and the values they return."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

Chunk = bytes | bytearray | memoryview
ReadMethod = Literal["GET", "HEAD"]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One blob as the store reports it: key, size, entity tag without quotes, time of writing (epoch seconds)."""

    key: str
    size_bytes: int
    etag: str
    modified_at: float


class Created(msgspec.Struct, frozen=True):
    """The key was free and now holds the new bytes."""

    etag: str


class AlreadyExists(msgspec.Struct, frozen=True):
    """The key exists already. Read it to learn whose bytes it holds."""


class OutcomeUnknown(msgspec.Struct, frozen=True):
    """The store gave no clear answer: the bytes may be stored or not. `reason` is for people."""

    reason: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a multipart upload: its number from 1 on, size, entity tag without quotes."""

    number: int
    size_bytes: int
    etag: str


class SignedUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A presigned URL: valid for one method on one key until `expires_at` (epoch seconds).

    The client must send `headers` unchanged.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: int


class SignedForm(msgspec.Struct, frozen=True, kw_only=True):
    """A presigned form (multipart/form-data) that uploads one file.

    Args:
        url: where the form is posted.
        fields: go before the file, which is the last field and named `file`.
        expires_at: when the store begins to refuse it (epoch seconds).
    """

    url: str
    fields: Mapping[str, str]
    expires_at: int


@runtime_checkable
class BlobReader(Protocol):
    """The half of BlobStore that reads: one blob, its attributes, and the list of keys."""

    def get(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> Iterator[bytes]:
        """Stream the blob from byte `start`: `size_bytes` of it, or all the rest.

        A range is cut at the end of the blob; one that begins beyond the end yields nothing.
        Raises BlobMissing, at the call or with the first chunk.
        """

    def stat(self, key: str) -> Stored:
        """Return key, size, entity tag and time of writing of the blob. Raises BlobMissing."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """Yield every blob whose key begins with `prefix`, in any order."""


@runtime_checkable
class BlobWriter(Protocol):
    """The half of BlobStore that writes: large streams, small atomic documents, and deletion."""

    def put(self, key: str, chunks: Iterable[Chunk], *, media_type: str, size_hint_bytes: int | None = None) -> Stored:
        """Store all of `chunks` under `key`, or nothing.

        A second put to a key is the caller's mistake: it raises BadReference or replaces the whole blob.

        Args:
            key: where to store the blob.
            chunks: the content. An exception that it raises passes through unchanged, after the upload was aborted.
            media_type: the content's type, for stores that keep one.
            size_hint_bytes: the expected length, from which part sizes are chosen. It is not checked.

        Raises BlobStoreFull when the store has no space left, TooLarge when it cannot take that many bytes.
        """

    def create(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> Created | AlreadyExists | OutcomeUnknown:
        """Write the small `body` under `key` only if the key is free. The driver sends it once and never retries.

        Of several callers that create one key, exactly one receives Created; the others receive AlreadyExists.
        A driver returns OutcomeUnknown after an unclear answer. `tags` are for the store's lifecycle rules.
        """

    def replace(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> None:
        """Write the small `body` under `key`, whether the key is free or not.

        A reader receives the old bytes or the new ones, never a mix. This is the one exception from write-once.
        """

    def delete(self, keys: Sequence[str]) -> None:
        """Delete these keys. A key that does not exist is no error."""


@runtime_checkable
class BlobStore(BlobReader, BlobWriter, Protocol):
    """Bytes by key. A key is written once, and no reader ever receives half a blob.

    Every method raises BlobStoreUnavailable when the store refuses access or cannot be reached within its time limits.
    The message names the endpoint or folder and the remedy. Every method that takes a key raises BadReference for a
    string that cannot be one (`resultstore.blobs.keys`). Threads share a store; a forked process can go on using it.
    """

    def now(self) -> float:
        """Return the store's own time, in seconds since the epoch. Expiry is decided by this clock alone.

        A driver measures its offset from time to time; it sends no request for each call.
        """


@runtime_checkable
class ProbedCapabilities(Protocol):
    """Optional: a store by another vendor, which may keep less than its protocol promises.

    `resultstore setup` tries what the store keeps and records it in `layout.json`
    (`resultstore.model.layout_marker.StoreCapabilities`).
    """

    @property
    def where(self) -> str:
        """Return how errors name this store."""


@runtime_checkable
class Signer(Protocol):
    """Creates presigned URLs, by which a client reads or writes one key for a limited time.

    It sends no request, except to learn the store's time. `origin` is scheme, host and port of its URLs.
    """

    origin: str

    def sign_get(
        self,
        key: str,
        *,
        expires_in_s: int,
        file_name: str,
        media_type: str,
        inline: bool = False,
        not_after: int | None = None,
        method: ReadMethod = "GET",
    ) -> SignedUrl:
        """Return a URL that downloads `key` with this media type and file name.

        With `inline` the browser shows the blob instead, if its type is one that browsers show without running code.
        The URL expires no later than `not_after` (epoch seconds). With `method` "HEAD" it returns the headers only.
        """

    def sign_put(
        self, key: str, *, expires_in_s: int, size_bytes: int, media_type: str, checksum_sha256: str | None = None
    ) -> SignedUrl:
        """Return a URL that writes exactly `size_bytes` of `media_type` to `key`, once.

        `content-length`, `content-type` and `if-none-match: *` are among its signed headers.
        `checksum_sha256` is the base64 digest that the store verifies (`x-amz-checksum-sha256`).
        """

    def sign_part(self, key: str, *, expires_in_s: int, upload_id: str, number: int, size_bytes: int) -> SignedUrl:
        """Return a URL that sends part `number` of a multipart upload, of exactly `size_bytes`.

        `content-length` is among its signed headers.
        """


@runtime_checkable
class MultipartStore(Protocol):
    """Optional: multipart uploads, whose parts clients send by presigned URLs (`Signer.sign_part`).

    The blob cannot be read before its upload is completed. A part that is sent again replaces the earlier one. Every
    part but the last has at least 5 MiB (Amazon S3 user guide, "Amazon S3 multipart upload limits").
    """

    def begin_parts(self, key: str, *, media_type: str) -> str:
        """Begin a multipart upload and return its id. Keep the id: the store does not list it later."""

    def parts(self, key: str, *, upload_id: str) -> tuple[Part, ...]:
        """Return the parts that have arrived, by number.

        Raises BlobMissing when the upload was completed or aborted, or belongs to another key.
        """

    def complete_parts(self, key: str, *, upload_id: str, parts: Sequence[Part]) -> Stored:
        """Make one blob of these parts if the key is still free. Idempotent: a second call returns the same.

        After a lost answer, what is stored under the key decides.

        Raises BlobMissing when neither the upload nor its blob exists, BadReference when a part is not as listed or
        the key holds another blob, BlobStoreUnavailable when the outcome cannot be determined now.
        """

    def abort_parts(self, key: str, *, upload_id: str) -> None:
        """Delete the upload and its parts. An upload that was completed or aborted is no error."""


@runtime_checkable
class PartReceiver(Protocol):
    """Optional: a store whose bytes the gateway serves, so that the gateway also receives the parts."""

    def put_part(self, key: str, *, upload_id: str, number: int, chunks: Iterable[Chunk]) -> Part:
        """Store all of `chunks` as this part, or nothing. Raises BlobMissing when the upload is over."""


@runtime_checkable
class ConditionalCopier(Protocol):
    """Optional: server-side copies, bound to an entity tag."""

    def copy(self, key: str, to: str, *, etag: str) -> Stored:
        """Copy the blob under `key` to `to` if its entity tag is `etag`. Idempotent.

        Raises ChecksumMismatch when the blob was replaced since, BlobMissing when there is none.
        """


@runtime_checkable
class FormSigner(Protocol):
    """Optional: presigned HTML forms, for uploads from a page without scripts."""

    def sign_form(
        self, key: str, *, expires_in_s: int, size_bytes: int, media_type: str, checksum_sha256: str | None = None
    ) -> SignedForm:
        """Return a form that writes exactly `size_bytes` of `media_type` to `key`.

        It can be used several times until it expires: forms have no `if-none-match`. `checksum_sha256` as in
        `sign_put`.
        """


@runtime_checkable
class UnsignedHeaderReader(Protocol):
    """Optional: lists headers that a client added to an upload although its URL did not sign them."""

    def unsigned_headers(self, key: str) -> tuple[str, ...]:
        """Return the names of stored headers that resultstore itself never sends. Raises BlobMissing."""
