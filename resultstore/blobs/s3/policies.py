"""IAM policies: least privilege for each role, in one bucket below one prefix.

The terms are those of S3's policy documents (Amazon S3 User Guide, "Policies and permissions"); MinIO supports them
too. docs/how-to/deploy.md has them as a table.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from resultstore.blobs.s3.target import S3Target

Policy = Mapping[str, object]

_AREAS: Final = ("blobs", "seals", "shares", "uploads")
_WRITES: Final = ("s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")


def worker_policy(target: S3Target) -> Policy:
    """Return the policy of a worker: everything below its own prefix; the layout marker it only reads."""
    return _policy(
        _objects(target, "ReadOurs", ["s3:GetObject"], _AREAS),
        _marker(target),
        _objects(target, "WriteOurs", _WRITES, _AREAS),
        # A seal is never deleted: a tombstone replaces it.
        _objects(target, "DeleteContent", ["s3:DeleteObject"], ("blobs", "shares", "uploads")),
        *_listing(target),
    )


def gateway_policy(target: S3Target) -> Policy:
    """Return the policy of a gateway: reads everything, takes and deletes uploads, shares; changes no result."""
    return _policy(
        _objects(target, "ReadOurs", ["s3:GetObject"], _AREAS),
        _marker(target),
        _objects(target, "TakeUploads", [*_WRITES, "s3:DeleteObject"], ("uploads",)),
        _objects(target, "Share", ["s3:PutObject", "s3:PutObjectTagging"], ("shares",)),
        *_listing(target),
    )


def deleting_gateway_policy(target: S3Target) -> Policy:
    """Return the policy of a gateway whose callers may delete their results: also tombstones and deleted blobs."""
    return _policy(
        *gateway_policy(target)["Statement"],  # type: ignore[misc]  # made above: a list of statements
        _objects(target, "WriteTombstones", ["s3:PutObject", "s3:PutObjectTagging"], ("seals",)),
        _objects(target, "DeleteContent", ["s3:DeleteObject"], ("blobs", "shares")),
    )


def reader_policy(target: S3Target) -> Policy:
    """Return the policy of the identity that signs URLs to read: it reads content, and writes nothing."""
    return _policy(_objects(target, "ReadContent", ["s3:GetObject"], ("blobs", "uploads")))


def uploader_policy(target: S3Target) -> Policy:
    """Return the policy of the identity that signs URLs to upload: it writes below `uploads/`, and reads nothing.

    The id of its key is part of every such URL. As it reads nothing, a URL to write cannot be used to find out whether
    another object exists (`x-amz-copy-source`).
    """
    return _policy(_objects(target, "SendUploads", ["s3:PutObject"], ("uploads",)))


def policies(target: S3Target, *, gateway_deletes: bool) -> Mapping[str, Policy]:
    """Return the policy of each role: worker, gateway, reader and uploader.

    Args:
        target: the bucket, and the prefix in it.
        gateway_deletes: let the gateway's callers delete results.
    """
    return {
        "worker": worker_policy(target),
        "gateway": deleting_gateway_policy(target) if gateway_deletes else gateway_policy(target),
        "reader": reader_policy(target),
        "uploader": uploader_policy(target),
    }


def _policy(*statements: Mapping[str, object]) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _objects(target: S3Target, name: str, actions: Sequence[str], areas: Sequence[str]) -> Mapping[str, object]:
    resources = [f"{_arn(target)}/{target.object_key(area)}/*" for area in areas]
    return {"Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": resources}


def _marker(target: S3Target) -> Mapping[str, object]:
    resource = f"{_arn(target)}/{target.object_key('layout.json')}"
    return {"Sid": "ReadMarker", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [resource]}


def _listing(target: S3Target) -> Sequence[Mapping[str, object]]:
    """Allow listing below the prefix only: names of other keys are confidential too."""
    below = [f"{target.object_key(area)}/*" for area in _AREAS]
    bucket = {"Effect": "Allow", "Resource": [_arn(target)]}
    return [
        bucket | {"Sid": "ListOurs", "Action": ["s3:ListBucket"], "Condition": {"StringLike": {"s3:prefix": below}}},
        # MinIO takes no condition here; it lists by exact key only.
        bucket | {"Sid": "ListUnfinished", "Action": ["s3:ListBucketMultipartUploads"]},
    ]


def _arn(target: S3Target) -> str:
    return f"arn:aws:s3:::{target.bucket}"
