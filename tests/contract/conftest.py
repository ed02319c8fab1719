"""One fixture for the contract suite: every driver of blobs, on its real ground."""

import pytest

from resultstore.blobs.local import LocalBlobs
from resultstore.blobs.memory import MemoryBlobs


@pytest.fixture(params=["memory", "local", "s3"])
def blobs(request, tmp_path):
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryBlobs()
    if request.param == "local":
        return LocalBlobs(tmp_path / "blobs")
    return request.getfixturevalue("s3_blobs")
