"""Needed: what a Store has only with an object store."""

from typing import Final, TypeVar

from resultstore.model.errors import Misconfigured

Part = TypeVar("Part")

NO_BLOBS: Final = "no object store is configured: set RESULTSTORE_BLOBS_URL to s3://bucket/prefix or file:///folder"


def needed(part: Part | None) -> Part:
    """Return `part`. Raises Misconfigured where there is none, because no object store is configured."""
    if part is None:
        raise Misconfigured(NO_BLOBS)
    return part
