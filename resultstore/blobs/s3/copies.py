"""S3Copies: server-side copies within a bucket, bound to an entity tag (by boto3)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from resultstore.blobs.blobstore import Stored
from resultstore.blobs.keys import checked_key
from resultstore.blobs.s3.bucket import RequestFailed, S3Bucket
from resultstore.model.errors import BlobMissing, ChecksumMismatch

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CopySourceTypeDef

_CHANGED: Final = 412


class S3Copies:
    """ConditionalCopier of one bucket.

    Args:
        bucket: sends the requests.
        stat: returns what is stored under a key.
    """

    def __init__(self, bucket: S3Bucket, stat: Callable[[str], Stored]) -> None:
        self._bucket = bucket
        self._stat = stat

    def copy(self, key: str, to: str, *, etag: str) -> Stored:
        """Copy the blob under `key` to `to` if its entity tag is `etag`. Idempotent."""
        target = self._bucket.target
        source: CopySourceTypeDef = {"Bucket": target.bucket, "Key": target.object_key(checked_key(key))}
        name = target.object_key(checked_key(to))
        try:
            self._bucket.send(
                lambda client: client.copy_object(
                    Bucket=target.bucket, Key=name, CopySource=source, CopySourceIfMatch=f'"{etag}"'
                )
            )
        except RequestFailed as refusal:
            failure = refusal.failure
            if failure.status == _CHANGED:
                raise ChecksumMismatch(f"blob {key} was replaced before it was copied: read its tag again") from None
            if failure.missing:
                raise BlobMissing(
                    f"no blob {key} in bucket {target.bucket}: it was deleted, or never written"
                ) from None
            raise refusal.as_error(f"copying of {key}") from refusal
        return self._stat(to)
