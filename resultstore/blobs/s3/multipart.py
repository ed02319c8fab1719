"""S3Parts: control of multipart uploads, whose parts clients send by presigned URLs (by boto3)."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from resultstore.blobs.blobstore import Part, Stored
from resultstore.blobs.keys import checked_key
from resultstore.blobs.s3.bucket import RequestFailed, S3Bucket
from resultstore.blobs.s3.errors import S3Failure
from resultstore.model.errors import BadReference, BlobMissing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_OVER = "NoSuchUpload"
_NOT_AS_LISTED = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})


class S3Parts:
    """MultipartStore of one bucket.

    Args:
        bucket: sends the requests.
        stat: returns what is stored under a key.
    """

    def __init__(self, bucket: S3Bucket, stat: Callable[[str], Stored]) -> None:
        self._bucket = bucket
        self._stat = stat

    def begin(self, key: str, *, media_type: str) -> str:
        """Begin an upload and return its id. After a lost answer the store collects the empty upload within a day."""
        name, bucket = self._name(key), self._bucket.target.bucket
        answer = self._bucket.run(
            lambda client: client.create_multipart_upload(Bucket=bucket, Key=name, ContentType=media_type),
            what=f"beginning of an upload of {key}",
        )
        return answer["UploadId"]

    def parts(self, key: str, *, upload_id: str) -> tuple[Part, ...]:
        """Return the parts that have arrived, by number; a thousand with each request."""
        found: list[Part] = []
        after = 0
        while True:
            page, after = self._page(key, upload_id=upload_id, after=after)
            found += page
            if not after:
                return tuple(found)

    def complete(self, key: str, *, upload_id: str, parts: Sequence[Part]) -> Stored:
        """Complete with If-None-Match: *, then check what is stored: it decides, not the answer."""
        try:
            self._bucket.send(lambda client: self._complete(client, key, upload_id=upload_id, parts=parts))
        except RequestFailed as refusal:
            # If the answer to a successful request was lost, the next try receives NoSuchUpload or 412.
            return self._settled(key, parts, failure=refusal.failure)
        return self._settled(key, parts, failure=None)

    def abort(self, key: str, *, upload_id: str) -> None:
        """Abort the upload. MinIO answers with an error to a part that arrives at this moment."""
        self._bucket.abort_upload(checked_key(key), upload_id=upload_id)

    def _page(self, key: str, *, upload_id: str, after: int) -> tuple[list[Part], int]:
        name, bucket = self._name(key), self._bucket.target.bucket
        try:
            answer = self._bucket.send(
                lambda client: client.list_parts(Bucket=bucket, Key=name, UploadId=upload_id, PartNumberMarker=after)
            )
        except RequestFailed as refusal:
            if refusal.failure.code == _OVER:
                raise _over(key) from refusal
            raise refusal.as_error(f"listing of the parts of {key}") from refusal
        page = [
            Part(number=one["PartNumber"], size_bytes=one["Size"], etag=one["ETag"].strip('"'))
            for one in answer.get("Parts", ())
        ]
        return page, page[-1].number if page and answer["IsTruncated"] else 0

    def _complete(self, client: "S3Client", key: str, *, upload_id: str, parts: Sequence[Part]) -> None:
        client.complete_multipart_upload(
            Bucket=self._bucket.target.bucket,
            Key=self._name(key),
            UploadId=upload_id,
            MultipartUpload={"Parts": [{"PartNumber": one.number, "ETag": one.etag} for one in parts]},
            IfNoneMatch="*",
        )

    def _settled(self, key: str, parts: Sequence[Part], *, failure: S3Failure | None) -> Stored:
        size_bytes = sum(one.size_bytes for one in parts)
        try:
            stored = self._stat(key)
        except BlobMissing as missing:
            if failure is None or failure.code == _OVER:
                raise _over(key) from missing
            if failure.code in _NOT_AS_LISTED:
                raise BadReference(
                    f"the parts of {key} are not as listed ({failure.summary}): list them again"
                ) from None
            raise failure.error(self._bucket.target.where, f"completion of {key}") from missing
        # The entity tag of an object made of N parts ends with -N, on every store that was tested.
        if stored.size_bytes != size_bytes or not (failure is None or stored.etag.endswith(f"-{len(parts)}")):
            raise BadReference(
                f"{key} holds {stored.size_bytes} bytes, not the {size_bytes} of these {len(parts)} parts: "
                "begin an upload under a new key"
            )
        return stored

    def _name(self, key: str) -> str:
        return self._bucket.target.object_key(checked_key(key))


def _over(key: str) -> BlobMissing:
    return BlobMissing(f"there is no unfinished upload of {key}: it was completed, aborted or collected; begin another")
