"""Faults: what a failed request to the object store means, and the error it becomes."""

import re

import msgspec

from resultstore.blobs.s3.target import S3Target
from resultstore.model.errors import (
    BlobMissing,
    BlobStoreFull,
    BlobStoreUnavailable,
    BlobUnreadable,
    NotSupported,
    ResultStoreError,
    TooLarge,
)

# obstore gives status and body only inside its message (object_store, client/retry.rs).
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REGION = "incorrectly configured region"
_WHOLE = "non-partial response when range requested"

_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_FULL = frozenset({"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"})
# What GET says of an object encrypted with a key that its writer kept (SSE-C), and of an archived one; on AWS (S3 API
# reference, "Error responses") and on MinIO no other fault of a GET has these codes.
_UNREADABLE = frozenset({"InvalidRequest", "InvalidObjectState"})
_INSUFFICIENT_STORAGE = 507
_NOT_FOUND = 404
_BAD_REQUEST = 400
_FORBIDDEN = 403
_MOVED = 301
_OK = 200
_NOT_IMPLEMENTED = 501
_METHOD_NOT_ALLOWED = 405
_SERVER_ERRORS = 500

_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role in use"
_REMEDIES = {
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "ExpiredToken": "the session token ended: renew the credentials",
    "InvalidToken": "the session token is not known here: renew the credentials",
    "NoSuchBucket": "make the bucket with `resultstore setup`, or correct RESULTSTORE_BLOBS_URL",
    "InvalidBucketName": "correct the bucket's name in RESULTSTORE_BLOBS_URL",
    "RequestTimeTooSkewed": "set this machine's clock: it is more than 15 minutes off the store's",
    "AuthorizationHeaderMalformed": "set RESULTSTORE_S3_REGION to the bucket's region",
    "PermanentRedirect": "set RESULTSTORE_S3_REGION to the bucket's region",
    "RangeIgnored": "the store ignores ranges; look for a proxy that drops the Range header, or use another store",
    "AccessDenied": f"allow it in the policy of these credentials, or {_KEYS}",
}
_UNTRUSTED = (
    "its certificate is not trusted: name a file with that of its authority in SSL_CERT_FILE, "
    "or correct RESULTSTORE_S3_ENDPOINT"
)
# Found in the text of a connection that failed; the first that fits speaks.
_CONNECTION = (
    ("InvalidContentType", "it does not speak TLS: write http:// in RESULTSTORE_S3_ENDPOINT"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: write http:// in RESULTSTORE_S3_ENDPOINT"),
    ("ertificate", _UNTRUSTED),
    ("CERTIFICATE", _UNTRUSTED),
    ("dns error", "its host name is not known: correct RESULTSTORE_S3_ENDPOINT"),
    ("Name or service not known", "its host name is not known: correct RESULTSTORE_S3_ENDPOINT"),
    ("refused", "nothing listens there: start the store, or correct RESULTSTORE_S3_ENDPOINT"),
    ("Could not connect", "nothing listens there: start the store, or correct RESULTSTORE_S3_ENDPOINT"),
    ("imed", "it did not answer in time: see whether it is overloaded, or correct RESULTSTORE_S3_ENDPOINT"),
    ("HTTPS server", "it speaks TLS: write https:// in RESULTSTORE_S3_ENDPOINT"),
    (_REGION, "set RESULTSTORE_S3_REGION to the bucket's region"),
)
_ANY = "see whether it is up, and check RESULTSTORE_S3_ENDPOINT"


class S3Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One failed request.

    Args:
        status: the HTTP status; None when no answer came.
        code: the error code of S3, or "".
        remedy: what to do about it.
    """

    status: int | None
    code: str
    remedy: str

    @classmethod
    def of(cls, error: Exception) -> "S3Failure":
        """What an exception of obstore or botocore says."""
        answer = getattr(error, "response", None)  # botocore's ClientError has one, as a dict; nothing else does
        if isinstance(answer, dict):
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return cls._read(status=status, code=answer.get("Error", {}).get("Code", ""), text=str(error))
        text = str(error)
        status_found, code = _STATUS.search(text), _CODE.search(text)
        status = int(status_found[1]) if status_found else None
        return cls._read(status=status, code=code[1] if code else "", text=text)

    @classmethod
    def of_answer(cls, status: int, text: str) -> "S3Failure":
        """What an answer says: its status, and the document in it."""
        code = _CODE.search(text)
        return cls._read(status=status, code=code[1] if code else "", text=text)

    @classmethod
    def _read(cls, *, status: int | None, code: str, text: str) -> "S3Failure":
        told = next((remedy for mark, remedy in _CONNECTION if mark in text), _ANY)
        if status is None and _REGION in text:
            status = _MOVED
        if status is None and _WHOLE in text:
            status, code = _OK, "RangeIgnored"
        if status == _FORBIDDEN:
            told = _REMEDIES["AccessDenied"]
        return cls(status=status, code="" if code.isdigit() else code, remedy=_REMEDIES.get(code, told))

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status is None or self.status in _TRANSIENT

    @property
    def denied(self) -> bool:
        """Whether the store pleads access: for good, or for a moment.

        MinIO says so to a PUT whose folder a concurrent delete is emptying: 15 of 24,000 PUTs beside such deletes, none
        without.
        """
        return self.status == _FORBIDDEN and self.code == "AccessDenied"

    @property
    def refused(self) -> bool:
        """Whether the store said no, so that nothing was written: not one of the answers that leave it open."""
        return self.full or self.status == _NOT_IMPLEMENTED or not (self.transient or self._broken)

    @property
    def _broken(self) -> bool:
        return self.status is not None and self.status >= _SERVER_ERRORS

    @property
    def unclear(self) -> bool:
        """Whether a HEAD, whose answer has no body, was refused for a reason that only a GET tells."""
        return self.status in (_BAD_REQUEST, _FORBIDDEN) and not self.code

    @property
    def missing(self) -> bool:
        """Whether the key, not the bucket, does not exist."""
        return self.status == _NOT_FOUND and self.code != "NoSuchBucket"

    @property
    def unreadable(self) -> bool:
        """Whether a GET was refused for what this one object is, so that it will be refused for ever."""
        return self.code in _UNREADABLE

    @property
    def full(self) -> bool:
        """Whether the store has no room."""
        return self.status == _INSUFFICIENT_STORAGE or self.code in _FULL

    @property
    def unsupported(self) -> bool:
        """Whether the store lacks what was asked of it, whoever asks."""
        return self.status in {_NOT_IMPLEMENTED, _METHOD_NOT_ALLOWED}

    @property
    def summary(self) -> str:
        """A few words for people."""
        if self.status is None:
            return "no answer"
        return f"{self.status} {self.code}".strip()

    def error(self, target: S3Target, what: str) -> ResultStoreError:
        """The error that `what` (a blob, a listing, the bucket) failed with: names the endpoint and the remedy."""
        where = f"bucket {target.bucket} at {target.origin}"
        if self.full:
            return BlobStoreFull(f"no room for {what} in {where} ({self.summary}): free space or raise the quota")
        if self.code == "EntityTooLarge":
            return TooLarge(f"{what} is larger than {where} takes in one upload")
        if self.unsupported:
            return NotSupported(f"{what}: {where} does not support this ({self.summary}): see `resultstore doctor`")
        return BlobStoreUnavailable(f"{what}: {where} failed ({self.summary}): {self.remedy}")

    def missing_error(self, target: S3Target, key: str) -> ResultStoreError:
        """The error for one blob that could not be read."""
        if self.unreadable:
            return BlobUnreadable(
                f"the blob {key} in bucket {target.bucket} is not given to us ({self.summary}): it was encrypted "
                "with a key that its writer kept, or archived; delete it"
            )
        if self.missing:
            return BlobMissing(f"no blob {key} in bucket {target.bucket}: it was deleted, or never written")
        return self.error(target, f"blob {key}")
