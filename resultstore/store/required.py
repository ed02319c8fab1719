"""require_blobs(): fails where an operation needs an object store and none is configured."""

from typing import Final, TypeVar

from resultstore.model.errors import Misconfigured

Part = TypeVar("Part")

NO_BLOBS: Final = "no object store is configured: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix or file:///folder"


def require_blobs(part: Part | None) -> Part:
    """Return `part`. Raises Misconfigured if it is None, because no object store is configured."""
    if part is None:
        raise Misconfigured(NO_BLOBS)
    return part
