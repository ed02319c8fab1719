"""RequestFailure: what a failed request to an object store means, and the error that it becomes."""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, Self

import msgspec

from resultstore.model.errors import (
    BlobMissing,
    BlobStoreFull,
    BlobStoreUnavailable,
    BlobUnreadable,
    NotSupported,
    ResultStoreError,
    TooLarge,
)

# obstore reports status and body only inside its message (object_store, client/retry.rs). S3, GCS and Azure all answer
# with an XML document that has a Code.
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
# Stores without HTTP, and answers that object_store itself refuses: status and code that fit what the text says.
_MEANING_OF_TEXT: Final = (
    ("incorrectly configured region", 301, ""),
    ("non-partial response when range requested", 200, "RangeIgnored"),
    ("StartTooLarge", 416, ""),
    ("NotADirectory", 404, ""),
)
# The same by the class of the exception; by name, because each process of a fork has classes of its own.
_STATUS_OF_CLASS: Final[Mapping[str, int]] = {
    "FileNotFoundError": 404,
    "NotFoundError": 404,
    "AlreadyExistsError": 409,
    "PreconditionError": 412,
    "PermissionDeniedError": 403,
    "UnauthenticatedError": 401,
    "NotImplementedError": 501,
    "NotSupportedError": 501,
}

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_INSUFFICIENT_STORAGE = 507
_NOT_FOUND = 404
_BAD_REQUEST = 400
_FORBIDDEN = 403
_NOT_IMPLEMENTED = 501
_METHOD_NOT_ALLOWED = 405
_SERVER_ERRORS = 500


class RequestFailure(msgspec.Struct, frozen=True, kw_only=True):
    """One failed request. A vendor's package adds its error codes and remedies in a subclass.

    Args:
        status: the HTTP status; None when no answer came.
        code: the store's error code, or "".
        remedy: what to do about it.
    """

    FULL_CODES: ClassVar[frozenset[str]] = frozenset()
    """Codes that mean: no space left, or a quota is used up."""
    UNREADABLE_CODES: ClassVar[frozenset[str]] = frozenset()
    """Codes by which a GET refuses one object for good."""
    REMEDIES: ClassVar[Mapping[str, str]] = {
        "RangeIgnored": "the store ignores ranges; look for a proxy that drops the Range header, or use another store",
        "AccessDenied": "allow it in the policy of these credentials, or use others",
    }
    """What to do, by code."""
    HINTS: ClassVar[Sequence[tuple[str, str]]] = ()
    """What to do, by a part of the text of a failed connection. The first match counts."""
    DEFAULT_REMEDY: ClassVar[str] = "see whether it is up, and check its address"
    """What to do about anything else."""

    status: int | None
    code: str
    remedy: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return what an exception of obstore reports."""
        text = str(error)
        status = _STATUS.search(text)
        if status:
            return cls.of_answer(int(status[1]), text)
        of_class = _STATUS_OF_CLASS.get(type(error).__name__)
        meanings = ((status, code) for mark, status, code in _MEANING_OF_TEXT if mark in text)
        meaning, code = next(meanings, (of_class, ""))
        return cls.read(status=meaning, code=code, text=text)

    @classmethod
    def of_answer(cls, status: int, text: str) -> Self:
        """Return what an HTTP answer reports, by its status and its document."""
        code = _CODE.search(text)
        return cls.read(status=status, code=code[1] if code else "", text=text)

    @classmethod
    def read(cls, *, status: int | None, code: str, text: str) -> Self:
        """Return the failure with this status and code, and the remedy that fits them or the text."""
        remedy = next((remedy for mark, remedy in cls.HINTS if mark in text), cls.DEFAULT_REMEDY)
        if status == _FORBIDDEN:
            remedy = cls.REMEDIES["AccessDenied"]
        return cls(status=status, code="" if code.isdigit() else code, remedy=cls.REMEDIES.get(code, remedy))

    @property
    def transient(self) -> bool:
        """Return True if the same request may succeed a moment later."""
        return self.status is None or self.status in _TRANSIENT

    @property
    def denied(self) -> bool:
        """Return True for AccessDenied, which MinIO can report transiently.

        MinIO answers so to a PUT whose folder a concurrent delete is emptying: 15 of 24,000 PUTs next to such deletes,
        none without.
        """
        return self.status == _FORBIDDEN and self.code == "AccessDenied"

    @property
    def refused(self) -> bool:
        """Return True if the store refused the request, so that nothing was written. False if that is unclear."""
        return self.full or self.status == _NOT_IMPLEMENTED or not (self.transient or self._broken)

    @property
    def _broken(self) -> bool:
        return self.status is not None and self.status >= _SERVER_ERRORS

    @property
    def unclear(self) -> bool:
        """Return True if a HEAD, whose answer has no body, was refused for a reason that only a GET reports."""
        return self.status in (_BAD_REQUEST, _FORBIDDEN) and not self.code

    @property
    def missing(self) -> bool:
        """Return True if the key does not exist, and the bucket does."""
        return self.status == _NOT_FOUND and self.code != "NoSuchBucket"

    @property
    def unreadable(self) -> bool:
        """Return True if a GET was refused for a property of this one object, so that retries are useless."""
        return self.code in self.UNREADABLE_CODES

    @property
    def full(self) -> bool:
        """Return True if the store has no space left."""
        return self.status == _INSUFFICIENT_STORAGE or self.code in self.FULL_CODES

    @property
    def unsupported(self) -> bool:
        """Return True if the store does not implement the request."""
        return self.status in {_NOT_IMPLEMENTED, _METHOD_NOT_ALLOWED}

    @property
    def summary(self) -> str:
        """Return status and code, for people."""
        if self.status is None:
            return "no answer"
        return f"{self.status} {self.code}".strip()

    def error(self, where: str, what: str) -> ResultStoreError:
        """Return the error to raise.

        Args:
            where: how errors name the store, such as "bucket b at https://host".
            what: what failed, such as "blob k" or "listing of a/".
        """
        if self.full:
            return BlobStoreFull(f"no space for {what} in {where} ({self.summary}): free space or raise the quota")
        if self.code == "EntityTooLarge":
            return TooLarge(f"{what} is larger than {where} takes in one upload")
        if self.unsupported:
            return NotSupported(f"{what}: {where} does not support this ({self.summary}): see `resultstore doctor`")
        return BlobStoreUnavailable(f"{what}: {where} failed ({self.summary}): {self.remedy}")

    def read_error(self, where: str, key: str) -> ResultStoreError:
        """Return the error to raise for one blob that could not be read; BlobMissing if it does not exist."""
        if self.unreadable:
            return BlobUnreadable(
                f"the blob {key} in {where} cannot be read ({self.summary}): its writer encrypted it with a key of "
                "their own, or it was archived; delete it"
            )
        if self.missing:
            return BlobMissing(f"no blob {key} in {where}: it was deleted, or never written")
        return self.error(where, f"blob {key}")
