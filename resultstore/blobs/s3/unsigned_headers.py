"""S3UnsignedHeaders: headers that a client added to an upload although its URL did not sign them."""

import re
from collections.abc import Mapping
from typing import Final

from resultstore.blobs.keys import checked_key
from resultstore.blobs.s3.bucket import RequestFailed, S3Bucket
from resultstore.model import layout
from resultstore.model.errors import BlobMissing

# Headers that a store keeps with an object and returns later. AWS refuses unsigned `x-amz-` headers, MinIO accepts them
# all (docs/security.md). What a store adds to every object is read from the layout marker. Cache-Control is left out:
# browsers may send it, and URLs to read set their own.
_KEPT: Final = re.compile(
    r"content-encoding|x-amz-tagging-count|x-amz-storage-class|x-amz-website-redirect-location"
    r"|x-amz-server-side-encryption-customer-algorithm|x-amz-replication-status|x-amz-object-lock-.*"
    r"|x-(amz|minio)-meta-.*"
)


class S3UnsignedHeaders:
    """UnsignedHeaderReader of one bucket.

    Args:
        bucket: sends the requests.
    """

    def __init__(self, bucket: S3Bucket) -> None:
        self._bucket = bucket
        self._own: frozenset[str] | None = None

    def names(self, key: str) -> tuple[str, ...]:
        """Return the names of kept headers that the layout marker does not have. Raises BlobMissing."""
        found = _kept(self._headers(checked_key(key), what=f"blob {key}"))
        if not found:
            return ()
        return tuple(sorted(found - self._usual()))

    def _usual(self) -> frozenset[str]:
        """Return what the store keeps with the layout marker, which no client has sent; read once."""
        if self._own is None:
            try:
                self._own = _kept(self._headers(layout.LAYOUT_KEY, what=layout.LAYOUT_KEY))
            except BlobMissing:
                return frozenset()
        return self._own

    def _headers(self, key: str, *, what: str) -> Mapping[str, str]:
        target = self._bucket.target
        try:
            answer = self._bucket.send(
                lambda client: client.head_object(Bucket=target.bucket, Key=target.object_key(key))
            )
        except RequestFailed as refusal:
            raise refusal.failure.read_error(target.where, what) from refusal
        return answer["ResponseMetadata"]["HTTPHeaders"]


def _kept(headers: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name.lower() for name in headers if _KEPT.fullmatch(name.lower()))
