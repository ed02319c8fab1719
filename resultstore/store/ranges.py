"""RangeReader: reads byte ranges of one Artifact, and fetches only the blocks that a range touches."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from resultstore.blobs.stream import BLOCK_BYTES, verified_blocks
from resultstore.blobs.zstd_frames import FrameTable, decompress
from resultstore.model.artifact import Artifact
from resultstore.model.errors import ChecksumMismatch

Fetch = Callable[[int, int], Iterator[bytes]]
_RECENT_BLOCKS: Final = 4  # of 1 MiB, kept by each reader: neighbouring ranges share the block at their border


class RangeReader:
    """Reads ranges of one Artifact's content; threads may share it.

    A range is verified by whole blocks of 1 MiB: each block that it touches is fetched and compared with the digest
    table before any byte of it is returned. The rest of the content is not read, so its state is not known.

    Args:
        artifact: what to read.
        fetch: streams stored bytes of its blob; called with a start and a length in bytes.
        table: returns the digest table of the blob; called once.
        what: names the Artifact in errors.
    """

    def __init__(self, artifact: Artifact, *, fetch: Fetch, table: Callable[[], bytes], what: str) -> None:
        self.size_bytes = artifact.size_bytes
        self._artifact = artifact
        self._fetch = fetch
        self._load_table = table
        self._what = what
        self._table: bytes | None = None
        self._frames: FrameTable | None = None
        self._recent: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, start: int, size_bytes: int) -> bytes:
        """Return `size_bytes` of the content from byte `start` on; a range is cut at the end of the content.

        Raises ChecksumMismatch if a block is damaged, BlobMissing if the blob is gone.
        """
        start = max(0, start)
        end = min(self.size_bytes, start + size_bytes)
        if end <= start:
            return b""
        if not self._artifact.encoding:
            return self._stored(start, end - start)
        frames = self._seek_table()
        return b"".join(decompress(frames, self._stored, start=start, size_bytes=end - start))

    def _seek_table(self) -> FrameTable:
        with self._lock:
            known = self._frames
        if known is None:
            one = self._artifact
            known = FrameTable.read(
                self._stored, stored_bytes=one.stored_bytes, size_bytes=one.size_bytes, what=self._what
            )
            with self._lock:
                self._frames = known
        return known

    def _digests(self) -> bytes:
        with self._lock:
            if self._table is None:
                self._table = self._load_table()
            return self._table

    def _stored(self, start: int, size_bytes: int) -> bytes:
        """Return stored bytes, verified by whole blocks."""
        first, last = start // BLOCK_BYTES, (start + size_bytes - 1) // BLOCK_BYTES
        found = bytearray()
        for block in self._blocks(first, last):
            found += block
        skipped = start - first * BLOCK_BYTES
        return bytes(memoryview(found)[skipped : skipped + size_bytes])

    def _blocks(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the blocks from `first` to `last`: recent ones from memory, and the rest by one request."""
        number = first
        while number <= last and (known := self._known(number)) is not None:
            yield known
            number += 1
        if number > last:
            return
        table = self._digests()
        stream = self._fetch(number * BLOCK_BYTES, (last + 1 - number) * BLOCK_BYTES)
        for block in verified_blocks(stream, table=table, first_block=number, what=self._what):
            self._check_length(number, block)
            self._keep(number, block)
            yield block
            number += 1
        if number <= last:
            raise ChecksumMismatch(f"{self._what} is shorter in the store than it was written: run its task again")

    def _check_length(self, number: int, block: bytes) -> None:
        if len(block) != min(BLOCK_BYTES, self._artifact.stored_bytes - number * BLOCK_BYTES):
            raise ChecksumMismatch(f"{self._what} has another length in the store: run its task again")

    def _known(self, number: int) -> bytes | None:
        with self._lock:
            return self._recent.get(number)

    def _keep(self, number: int, block: bytes) -> None:
        with self._lock:
            self._recent[number] = block
            self._recent.move_to_end(number)
            while len(self._recent) > _RECENT_BLOCKS:
                self._recent.popitem(last=False)
