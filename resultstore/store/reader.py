"""Reader: a seekable file over content that comes in whole, verified MiBs."""

import io
from collections.abc import Callable, Iterator

from resultstore.blobs.stream import BLOCK_BYTES
from resultstore.model.errors import ChecksumMismatch


class BlockReader(io.RawIOBase):
    """Reads content forwards in one stream of blocks, and begins another stream after a seek.

    Args:
        blocks_from: the blocks (1 MiB each, the last one shorter) from this number on; called at reads only.
        size_bytes: length of the content.
        what: how messages name it.
    """

    def __init__(self, blocks_from: Callable[[int], Iterator[bytes]], *, size_bytes: int, what: str) -> None:
        super().__init__()
        self._blocks_from = blocks_from
        self._size_bytes = size_bytes
        self._what = what
        self._position = 0
        self._blocks: Iterator[bytes] = iter(())
        self._block = b""
        self._block_number = -2  # the block that `_block` holds; -2: none, and none is due

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes: a seek costs a request at the next read."""
        return True

    def tell(self) -> int:
        """The byte position of the next read."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte position; makes no request by itself."""
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if origin + offset < 0:
            raise ValueError(f"cannot seek before the beginning of {self._what}")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # RawIOBase types it as any writable buffer
        """Fill `buffer` with what is left of the current MiB. Raises ChecksumMismatch when it is damaged."""
        if self._position >= self._size_bytes:
            return 0
        number, offset = divmod(self._position, BLOCK_BYTES)
        piece = memoryview(self._block_at(number))[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        """Give the connection back."""
        self._blocks = iter(())
        self._block = b""
        super().close()

    def _block_at(self, number: int) -> bytes:
        if number != self._block_number:
            if number != self._block_number + 1:
                self._blocks = self._blocks_from(number)
            self._block_number = -2  # a stream that breaks is spent: whoever reads again begins another one
            self._block = self._next_block(number)
            self._block_number = number
        return self._block

    def _next_block(self, number: int) -> bytes:
        block = next(self._blocks, b"")
        if len(block) != min(BLOCK_BYTES, self._size_bytes - number * BLOCK_BYTES):
            raise ChecksumMismatch(f"{self._what} is shorter in the store than it was written: run its task again")
        return block
