"""BlobStore: holds bytes by key. The contracts, and the values that they answer with."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import msgspec

Chunk = bytes | bytearray | memoryview


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One blob as the store reports it: key, size, entity tag without quotes, time of writing (epoch seconds)."""

    key: str
    size_bytes: int
    etag: str
    modified_at: float


class Created(msgspec.Struct, frozen=True):
    """The key was free and now holds our bytes."""

    etag: str


class AlreadyExists(msgspec.Struct, frozen=True):
    """The store says that the key exists already; whose bytes stand there, a read tells."""


class OutcomeUnknown(msgspec.Struct, frozen=True):
    """The store gave no clear answer: our bytes may stand there or not. `reason` is for people."""

    reason: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a blob that comes in parts: its number from 1 on, size, entity tag without quotes."""

    number: int
    size_bytes: int
    etag: str


class SignedUrl(msgspec.Struct, frozen=True, kw_only=True):
    """Lets a stranger use one method on one key until `expires_at` (epoch seconds), sending `headers` as they stand."""

    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: int


class SignedForm(msgspec.Struct, frozen=True, kw_only=True):
    """Lets a stranger send one file in a form (multipart/form-data) until `expires_at` (epoch seconds).

    Args:
        url: where the form is posted.
        fields: go before the file, which is the last field and named `file`.
        expires_at: from then on it is refused.
    """

    url: str
    fields: Mapping[str, str]
    expires_at: int


@runtime_checkable
class BlobStore(Protocol):
    """Bytes by key. A key is written once; nobody ever reads half a blob.

    Every method raises BlobStoreUnavailable when the store cannot be reached within its time limits or refuses us,
    with a message that names the endpoint or folder and the remedy.
    """

    def put(self, key: str, chunks: Iterable[Chunk], *, media_type: str, size_hint_bytes: int | None = None) -> Stored:
        """Store all of `chunks` under `key`, or nothing.

        `size_hint_bytes` is the expected length, to choose part sizes by; it is not checked.
        An exception raised by `chunks` passes through unchanged, after the upload was aborted. A second put to a key
        is the caller's mistake: it raises BadReference or replaces the whole blob.
        Raises BlobStoreFull when there is no room, TooLarge when the store cannot take that many bytes.
        """

    def get(self, key: str, *, start: int = 0, size_bytes: int | None = None) -> Iterator[bytes]:
        """Stream the blob from byte `start`, `size_bytes` of it or all the rest; nothing comes from beyond its end.

        Raises BlobMissing, at the call or with the first chunk.
        """

    def stat(self, key: str) -> Stored:
        """What stands under `key`. Raises BlobMissing."""

    def delete(self, keys: Sequence[str]) -> None:
        """Remove these keys; one that does not exist is no error."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """Every blob whose key begins with `prefix`, in any order."""


@runtime_checkable
class CreatesOnce(Protocol):
    """The further power that seals need: the first writer of a key wins, all others learn that they lost."""

    def create(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> Created | AlreadyExists | OutcomeUnknown:
        """Write the small `body` under `key` only if nothing stands there. Sent once, never retried here."""


@runtime_checkable
class ProbedCapabilities(Protocol):
    """A store that others make, and that may keep less than its protocol promises: what it keeps is found by trying.

    `layout.json` notes what set-up found (`model.marker.Traits`).
    """

    @property
    def where(self) -> str:
        """How errors name this store."""


@runtime_checkable
class Replaces(Protocol):
    """The one exception from write-once: a tombstone over a seal."""

    def replace(self, key: str, body: bytes, *, tags: Mapping[str, str]) -> None:
        """Put the small `body` under `key`, whatever stands there; a reader sees old bytes or new, never a mix."""


@runtime_checkable
class HasClock(Protocol):
    """The further power of telling the store's own time, which alone counts for expiry."""

    def now(self) -> float:
        """Seconds since the epoch by the store's clock (an offset that was measured lately, not a request each)."""


@runtime_checkable
class Signer(Protocol):
    """Lets a stranger read or write one key for a while. Makes no request, but for one that tells the store's time.

    `origin` is scheme, host and port of its URLs.
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
    ) -> SignedUrl:
        """A URL that reads `key`, answering with this type and as a download of this name.

        Inline instead, where that is asked for and the type is one that a browser shows without running any of it.
        It never works beyond `not_after` (epoch seconds).
        """

    def sign_put(
        self, key: str, *, expires_in_s: int, size_bytes: int, media_type: str, checksum_sha256: str | None = None
    ) -> SignedUrl:
        """A URL that writes exactly `size_bytes` of `media_type` to `key`, once.

        `content-length`, `content-type` and `if-none-match: *` are among its signed headers.
        `checksum_sha256` is the base64 digest the store shall verify (`x-amz-checksum-sha256`).
        """


@runtime_checkable
class MultipartStore(Protocol):
    """The further power of taking one blob in parts, which strangers send by the URLs of a signer that PartSigner.

    Nothing of the blob can be read before it is complete. A part that is sent again replaces the earlier one. All but
    the last have at least 5 MiB (Amazon S3 user guide, "Amazon S3 multipart upload limits").
    """

    def begin_parts(self, key: str, *, media_type: str) -> str:
        """Begin such an upload; its id, which no listing tells later: remember it."""

    def parts(self, key: str, *, upload_id: str) -> tuple[Part, ...]:
        """What has arrived, by number. Raises BlobMissing when the upload is over: completed or aborted."""

    def complete_parts(self, key: str, *, upload_id: str, parts: Sequence[Part]) -> Stored:
        """Make one blob of these parts, where nothing stands under `key` yet; done twice it answers twice.

        A lost answer and an upload that is over already are settled by what stands under the key.
        Raises BlobMissing when neither the upload nor its blob is there, BadReference when a part is not as listed or
        another blob stands there, BlobStoreUnavailable when that cannot be told now.
        """

    def abort_parts(self, key: str, *, upload_id: str) -> None:
        """Drop the upload with its parts; one that is over already is no error."""


@runtime_checkable
class ConditionalCopier(Protocol):
    """The further power of copying exactly the bytes that were looked at."""

    def copy(self, key: str, to: str, *, etag: str) -> Stored:
        """Copy the blob under `key` to `to` if its entity tag is `etag`; done twice it leaves what one leaves.

        Raises ChecksumMismatch when other bytes are there by now, BlobMissing when none are.
        """


@runtime_checkable
class PartSigner(Protocol):
    """The further power of letting a stranger send one part."""

    def sign_part(self, key: str, *, expires_in_s: int, upload_id: str, number: int, size_bytes: int) -> SignedUrl:
        """A URL that sends part `number` of exactly `size_bytes`; `content-length` is among its signed headers."""


@runtime_checkable
class FormSigner(Protocol):
    """The further power of letting a stranger send one file in a form, as a page without scripts does."""

    def sign_form(
        self, key: str, *, expires_in_s: int, size_bytes: int, media_type: str, checksum_sha256: str | None = None
    ) -> SignedForm:
        """A form that writes exactly `size_bytes` of `media_type` to `key`; not once alone: forms know no condition.

        `checksum_sha256` as in `sign_put`.
        """


@runtime_checkable
class PartReceiver(Protocol):
    """The further power of a store whose bytes we serve ourselves: to be given a part."""

    def put_part(self, key: str, *, upload_id: str, number: int, chunks: Iterable[Chunk]) -> Part:
        """Keep all of `chunks` as this part, or nothing. Raises BlobMissing when the upload is over."""


@runtime_checkable
class UnsignedHeaderReader(Protocol):
    """The further power of showing what a sender added to an upload that its URL was not signed for."""

    def extras(self, key: str) -> tuple[str, ...]:
        """Return the names of headers that are kept with the blob and that no process of ours sends.

        Raises BlobMissing.
        """
