"""Read-only fsspec filesystem `resultstore://<id>/<name>` over a Store."""

from resultstore.filesystem.filesystem import ResultStoreFileSystem

__all__ = ["ResultStoreFileSystem"]
