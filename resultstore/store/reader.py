"""BlockReader: a seekable file over content that arrives in verified blocks of 1 MiB."""

import io
from collections.abc import Callable, Iterator

from resultstore.blobs.stream import BLOCK_BYTES
from resultstore.model.errors import ChecksumMismatch


class BlockReader(io.RawIOBase):
    """Reads content in one stream of blocks, and starts a new stream after a seek.

    Args:
        blocks_from: returns the blocks from this number on (1 MiB each, the last one shorter); called by reads only.
        size_bytes: length of the content.
        what: names the content in error messages.
    """

    def __init__(self, blocks_from: Callable[[int], Iterator[bytes]], *, size_bytes: int, what: str) -> None:
        super().__init__()
        self._blocks_from = blocks_from
        self._size_bytes = size_bytes
        self._what = what
        self._position = 0
        self._blocks: Iterator[bytes] = iter(())
        self._block = b""
        self._block_number = -2  # the block that `_block` holds; -2: none

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True; after a seek the next read makes a new request."""
        return True

    def tell(self) -> int:
        """Return the byte position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte position and return it; makes no request."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if origin + offset < 0:
            raise ValueError(f"cannot seek before the beginning of {self._what}")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # RawIOBase types it as any writable buffer
        """Fill `buffer` from the rest of the current block. Raises ChecksumMismatch when the block is damaged."""
        if self._position >= self._size_bytes:
            return 0
        number, offset = divmod(self._position, BLOCK_BYTES)
        piece = memoryview(self._block_at(number))[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        """Close the stream and return its connection to the pool."""
        self._blocks = iter(())
        self._block = b""
        super().close()

    def _block_at(self, number: int) -> bytes:
        if number != self._block_number:
            if number != self._block_number + 1:
                self._blocks = self._blocks_from(number)
            self._block_number = -2  # after an error the next read starts a new stream
            self._block = self._next_block(number)
            self._block_number = number
        return self._block

    def _next_block(self, number: int) -> bytes:
        block = next(self._blocks, b"")
        if len(block) != min(BLOCK_BYTES, self._size_bytes - number * BLOCK_BYTES):
            raise ChecksumMismatch(f"{self._what} is shorter in the store than it was written: run its task again")
        return block
