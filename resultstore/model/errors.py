"""Errors that resultstore raises. Each message names the id and what to do.

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
    """Base class of all errors of resultstore."""


class NotThere(ResultStoreError):
    """Not found: it does not exist, was deleted or has expired."""


class ResultMissing(NotThere):
    """There is no Result with this id."""


class ResultDeleted(ResultMissing):
    """The Result was deleted. Its id cannot be used again."""

    @classmethod
    def of(cls, result_id: str) -> "ResultDeleted":
        """Return the error for this id."""
        return cls(f"result {result_id} was deleted: run the work under a new id")


class ArtifactMissing(NotThere):
    """The Result has no Artifact of this name."""


class ArtifactExpired(NotThere):
    """The Artifact has expired: its retention period has ended."""


class ShareMissing(NotThere):
    """There is no share link of this token, or the token is malformed or forged."""


class ShareEnded(NotThere):
    """The share link has expired, was revoked or used up, or its file is not stored any more."""


class BlobMissing(NotThere):
    """There is no blob under this key."""


class TaskMissing(NotThere):
    """There is no offered task of this name."""


class Refused(ResultStoreError):
    """The request is not allowed as it is. Repeating it does not help; the message says what to change."""


class TooLarge(Refused):
    """The content is larger than the limit."""


class WrongType(Refused):
    """The operation does not accept this value or media type."""


class NotYours(Refused):
    """The caller is not the owner of the Result or the value."""


class BadReference(Refused):
    """A key, id, URL or signature is malformed or forged, or refers to another store."""


class BadInput(Refused):
    """A task cannot process its input: it is damaged, empty, of another type, or over a limit."""


class UploadIncomplete(Refused):
    """The upload is incomplete: some of its bytes have not arrived."""


class UploadRejected(Refused):
    """The upload was rejected and its bytes were deleted: it differs from its declaration, or exceeds a limit."""


class AddressRefused(Refused):
    """Requests to this URL are not allowed: its address is private, or its port or scheme is another one."""


class Misconfigured(Refused):
    """A setting is missing or wrong. The message names it."""


class BadSetting(Misconfigured):
    """One or more settings have a value of the wrong type, or out of bounds."""


class Damaged(ResultStoreError):
    """Stored data differs from the data that was written."""


class ChecksumMismatch(Damaged):
    """The content that was read does not match its checksum."""


class SealUnreadable(Damaged):
    """A seal does not parse, does not match its digest, or names another id."""


class RecordUnreadable(Damaged):
    """A record in the index is damaged, or of a format that this version does not read."""


class BlobUnreadable(Damaged):
    """The object store has this blob but does not return it: it is encrypted with another key, or archived."""


class LayoutUnreadable(Damaged):
    """The store's `layout.json` is not valid: another program wrote it, or it is signed with another key."""


class Unavailable(ResultStoreError):
    """A server cannot be reached within its time limits. The same call may succeed later."""


class BlobStoreUnavailable(Unavailable):
    """The object store refuses the request, fails or does not answer."""


class BlobStoreFull(BlobStoreUnavailable):
    """The object store has no free space."""


class NotSupported(BlobStoreUnavailable):
    """The object store does not have the feature that is needed. Repeating the call does not help."""


class IndexUnavailable(Unavailable):
    """Redis refuses the command, fails or does not answer."""


class BrokerUnavailable(Unavailable):
    """The message broker refuses the message, fails or does not confirm it."""


class CommitUnknown(ResultStoreError):
    """The seal may or may not have been written. Nothing was deleted; repeat the call to find out."""
