"""ResultStoreFile: an Artifact as a file of fsspec, and how far it reads ahead."""

from typing import Any, Final

from fsspec.caching import ReadAheadCache, register_cache
from fsspec.spec import AbstractBufferedFile

from resultstore.blobs.stream import BLOCK_BYTES
from resultstore.store.ranges import RangeReader

CACHE: Final = "resultstore"
_FARTHEST_BYTES: Final = 8 * BLOCK_BYTES


class GrowingReadAhead(ReadAheadCache):
    """Reads ahead only while the file is read in order: 1 MiB, then twice as much each time, up to 8 MiB.

    A read elsewhere, as of one Parquet column, fetches nothing beyond its own blocks.
    """

    name = CACHE
    blocksize: int

    def _fetch(self, start: int | None, end: int | None) -> bytes:
        begin, stop = start or 0, self.size if end is None else end
        if begin < self.start or stop > self.end:
            follows = self.start <= begin <= self.end and self.end > 0
            self.blocksize = min(max(2 * self.blocksize, BLOCK_BYTES), _FARTHEST_BYTES) if follows else 0
        return super()._fetch(start, end)  # type: ignore[no-any-return]  # fsspec has no types


register_cache(GrowingReadAhead, clobber=True)


class ResultStoreFile(AbstractBufferedFile):
    """Reads one Artifact; every block of 1 MiB is verified before any of its bytes is returned.

    Args:
        fs: the filesystem.
        path: the path of the Artifact.
        ranges: reads its content.
        options: those of fsspec's buffered file.
    """

    def __init__(self, fs: object, path: str, *, ranges: RangeReader, **options: Any) -> None:  # noqa: ANN401 - fsspec's
        self._ranges = ranges
        super().__init__(fs, path, mode="rb", size=ranges.size_bytes, **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._ranges.read(start, end - start)
