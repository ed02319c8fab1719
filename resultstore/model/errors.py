"""Errors: all that resultstore raises. Each message names the id and the way out.

ResultStoreError
+-- NotThere          ResultMissing, ArtifactMissing, ArtifactExpired, BlobMissing, TaskMissing
|   +-- ResultDeleted (a ResultMissing)
+-- Refused           TooLarge, WrongType, NotYours, BadReference, BadInput, Misconfigured
|   +-- UploadIncomplete, UploadRejected, AddressRefused, BadSetting (a Misconfigured)
+-- Damaged           ChecksumMismatch, SealUnreadable, RecordUnreadable, BlobUnreadable, LayoutUnreadable
+-- Unavailable       BlobStoreUnavailable, BlobStoreFull, NotSupported, IndexUnavailable, BrokerUnavailable
+-- CommitUnknown
"""


class ResultStoreError(Exception):
    """The root of everything that resultstore raises on purpose."""


class NotThere(ResultStoreError):
    """What was asked for does not exist, or does no longer."""


class ResultMissing(NotThere):
    """No Result is known under this id."""


class ResultDeleted(ResultMissing):
    """The Result of this id was deleted; the id cannot be used again."""

    @classmethod
    def of(cls, result_id: str) -> "ResultDeleted":
        """The error for this id."""
        return cls(f"result {result_id} was deleted: run the work under a new id")


class ArtifactMissing(NotThere):
    """The Result has no Artifact of this name."""


class ArtifactExpired(NotThere):
    """The Artifact was kept for its retention and is not any more."""


class BlobMissing(NotThere):
    """No blob stands under this key."""


class TaskMissing(NotThere):
    """No task of this name is offered."""


class Refused(ResultStoreError):
    """The request is understood and will not be carried out as it is."""


class TooLarge(Refused):
    """The bytes are more than the limit allows."""


class WrongType(Refused):
    """The value or the media type is not one that this operation takes."""


class NotYours(Refused):
    """The caller does not own what it names."""


class BadReference(Refused):
    """A key, id, URL or signature is malformed, forged or points outside this store."""


class BadInput(Refused):
    """A task's input cannot be processed: damaged, empty, of another type, or over a cap."""


class UploadIncomplete(Refused):
    """Not all bytes of an upload have arrived."""


class UploadRejected(Refused):
    """An upload is not what was declared, or more than its task takes; its bytes were deleted."""


class AddressRefused(Refused):
    """A URL names a place to which nothing is sent from here: a private one, another port, another scheme."""


class Misconfigured(Refused):
    """A setting is missing or wrong; the message names it."""


class BadSetting(Misconfigured):
    """The values of one or more settings are of the wrong type, or out of bounds."""


class Damaged(ResultStoreError):
    """What is stored is not what was written."""


class ChecksumMismatch(Damaged):
    """The bytes read differ from the bytes written."""


class SealUnreadable(Damaged):
    """A seal exists but does not parse, does not match its digest, or speaks of another id."""


class RecordUnreadable(Damaged):
    """A record in the index is not of a format that this version reads."""


class BlobUnreadable(Damaged):
    """The object store has this blob and does not give it to us: it was encrypted with another's key, or archived."""


class LayoutUnreadable(Damaged):
    """The store's `layout.json` is not one that this resultstore wrote, or not with our key."""


class Unavailable(ResultStoreError):
    """A server cannot be reached within its time limits; the same call may succeed later."""


class BlobStoreUnavailable(Unavailable):
    """The object store refuses, fails or does not answer."""


class BlobStoreFull(BlobStoreUnavailable):
    """The object store has no room left."""


class NotSupported(BlobStoreUnavailable):
    """The object store does not have what was asked of it; asking again will not help."""


class IndexUnavailable(Unavailable):
    """Redis refuses, fails or does not answer."""


class BrokerUnavailable(Unavailable):
    """The message broker refuses, fails or does not confirm."""


class CommitUnknown(ResultStoreError):
    """The seal may or may not have been written: nothing was deleted, asking again will tell."""
