"""S3Failure: what a failed request to S3 or MinIO means, by obstore or by boto3."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

from resultstore.blobs.obstore.errors import RequestFailure

_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile or role in use"
_REGION = "set RESULTSTORE_S3_REGION to the bucket's region"
_PLAIN = "it does not speak TLS: write http:// in RESULTSTORE_S3_ENDPOINT"
_UNKNOWN_HOST = "its host name is not known: correct RESULTSTORE_S3_ENDPOINT"
_NO_LISTENER = "nothing listens there: start the store, or correct RESULTSTORE_S3_ENDPOINT"
_UNTRUSTED = (
    "its certificate is not trusted: name a file with that of its authority in SSL_CERT_FILE, "
    "or correct RESULTSTORE_S3_ENDPOINT"
)


class S3Failure(RequestFailure, frozen=True, kw_only=True):
    """One failed request to S3 or MinIO."""

    FULL_CODES: ClassVar[frozenset[str]] = frozenset(
        {"XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded"}
    )
    # The codes of a GET for an object encrypted with a key that its writer kept (SSE-C), and for an archived one. On
    # AWS (S3 API reference, "Error responses") and on MinIO no other failure of a GET has these codes.
    UNREADABLE_CODES: ClassVar[frozenset[str]] = frozenset({"InvalidRequest", "InvalidObjectState"})
    REMEDIES: ClassVar[Mapping[str, str]] = {
        **RequestFailure.REMEDIES,
        "InvalidAccessKeyId": _KEYS,
        "SignatureDoesNotMatch": _KEYS,
        "ExpiredToken": "the session token ended: renew the credentials",
        "InvalidToken": "the session token is not known here: renew the credentials",
        "NoSuchBucket": "make the bucket with `resultstore setup`, or correct RESULTSTORE_BLOBS_URL",
        "InvalidBucketName": "correct the bucket's name in RESULTSTORE_BLOBS_URL",
        "RequestTimeTooSkewed": "set this machine's clock: it is more than 15 minutes off the store's",
        "AuthorizationHeaderMalformed": _REGION,
        "PermanentRedirect": _REGION,
        "AccessDenied": f"allow it in the policy of these credentials, or {_KEYS}",
    }
    HINTS: ClassVar[Sequence[tuple[str, str]]] = (
        ("InvalidContentType", _PLAIN),
        ("WRONG_VERSION_NUMBER", _PLAIN),
        ("ertificate", _UNTRUSTED),
        ("CERTIFICATE", _UNTRUSTED),
        ("dns error", _UNKNOWN_HOST),
        ("Name or service not known", _UNKNOWN_HOST),
        ("refused", _NO_LISTENER),
        ("Could not connect", _NO_LISTENER),
        ("imed", "it did not answer in time: see whether it is overloaded, or correct RESULTSTORE_S3_ENDPOINT"),
        ("HTTPS server", "it speaks TLS: write https:// in RESULTSTORE_S3_ENDPOINT"),
        ("incorrectly configured region", _REGION),
    )
    DEFAULT_REMEDY: ClassVar[str] = "see whether it is up, and check RESULTSTORE_S3_ENDPOINT"

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Return what an exception of obstore or botocore reports."""
        answer = getattr(error, "response", None)  # botocore's ClientError has one, as a dict; nothing else does
        if not isinstance(answer, dict):
            return super().of(error)
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return cls.read(status=status, code=answer.get("Error", {}).get("Code", ""), text=str(error))
