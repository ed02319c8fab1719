"""Seekable zstd: independent frames of 1 MiB with a seek table, so that a range can be read without the rest.

The written form is the Zstandard Seekable Format 0.1.0 (facebook/zstd, contrib/seekable_format/
zstd_seekable_compression_format.md): ordinary frames, then one skippable frame with their sizes, which the `zstd`
tool and every other decoder skip. This module is stricter: every frame but the last holds exactly 1 MiB, and each
has its length and its checksum in its header (XXH64, checked by the decoder).
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate, chain, islice
from struct import Struct
from typing import TypeVar, cast

import msgspec
import zstandard

from resultstore.blobs.blobstore import Chunk
from resultstore.model.errors import ChecksumMismatch

FRAME_BYTES = 1 << 20
# Measured on JSON records: level 1 packs 395 MB/s at 4.4 to 1, level 3 174 MB/s at 4.0 to 1 (frames of 1 MiB).
LEVEL = 1
_CHEAPEST_LEVEL = -7
_PROBE_BYTES = 1 << 16
_WORTH_IT = 0.95  # if a probe stays larger than this share of its size, the frame is compressed already
_MAX_PACKED_BYTES = FRAME_BYTES + FRAME_BYTES // 128  # above ZSTD_COMPRESSBOUND (1/256 more) with header and checksum
_MAX_THREADS = 4
_ALONE = 2  # up to this many frames, threads cost more than they save
_READ_BYTES = 8 << 20  # adjacent frames are read together up to this size

_SKIPPABLE_MAGIC = 0x184D2A5E
_SEEKABLE_MAGIC = 0x8F92EAB1
_HEADER = Struct("<II")  # Skippable_Magic_Number, Frame_Size
_ENTRY = Struct("<II")  # Compressed_Size, Decompressed_Size
_FOOTER = Struct("<IBI")  # Number_Of_Frames, Seek_Table_Descriptor, Seekable_Magic_Number
_PLAIN = 0  # Seek_Table_Descriptor without Checksum_Flag: the frames carry their checksums themselves

_of_thread = threading.local()

Read = Callable[[int, int], Chunk]
_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


class FrameTable(msgspec.Struct, frozen=True):
    """Where each frame of a blob ends, and how much it holds.

    Args:
        what: names the blob in errors.
        ends: for each frame, the position after its last stored byte.
        size_bytes: length of the whole content, unpacked.
    """

    what: str
    ends: Sequence[int]
    size_bytes: int

    @classmethod
    def read(cls, read: Read, *, stored_bytes: int, size_bytes: int, what: str) -> "FrameTable":
        """Read the table at the end of a blob of `stored_bytes` that holds `size_bytes`, by one call of `read`.

        `read(start, size_bytes)` returns that many stored bytes. Raises ChecksumMismatch, naming `what`, when
        there is no table or it does not fit both lengths. So a table is never larger than the content justifies.
        """
        frames = -(-size_bytes // FRAME_BYTES)
        table_bytes = _HEADER.size + frames * _ENTRY.size + _FOOTER.size
        frames_bytes = stored_bytes - table_bytes
        _check(frames_bytes >= 0, what, "it is too short for its seek table")
        table = _exactly(read, frames_bytes, table_bytes, what)
        _check(
            table[: _HEADER.size] == _HEADER.pack(_SKIPPABLE_MAGIC, table_bytes - _HEADER.size), what, "no seek table"
        )
        _check(table[-_FOOTER.size :] == _FOOTER.pack(frames, _PLAIN, _SEEKABLE_MAGIC), what, "no end of a seek table")
        entries = list(_ENTRY.iter_unpack(table[_HEADER.size : -_FOOTER.size]))
        found = cls(what, list(accumulate(packed for packed, _ in entries)), size_bytes)
        _check(all(0 < packed <= _MAX_PACKED_BYTES for packed, _ in entries), what, "a frame of impossible length")
        _check(all(size == found.frame_bytes(n) for n, (_, size) in enumerate(entries)), what, "a frame not of 1 MiB")
        _check(found.begin(frames) == frames_bytes, what, "its seek table does not add up to its length")
        return found

    def frame_bytes(self, number: int) -> int:
        """Return how many bytes frame `number` holds when decompressed."""
        return min(FRAME_BYTES, self.size_bytes - number * FRAME_BYTES)

    def begin(self, number: int) -> int:
        """Return the position of the first stored byte of frame `number`."""
        return self.ends[number - 1] if number else 0


def compress(chunks: Iterable[Chunk], *, level: int = LEVEL, threads: int | None = None) -> Iterator[bytes]:
    """Compress a stream: yield one bytes object for each frame, in order, and the seek table last.

    `threads` frames (default: one a core, at most 4) are compressed at once, and as many more may wait for the
    consumer. Each frame is probed: one that would not shrink is compressed at the cheapest level. An exception of
    `chunks` passes through unchanged. The threads end with the iterator. One or two frames need no threads.
    """

    def pack(frame: bytes | memoryview) -> tuple[int, bytes]:
        return len(frame), _packed(frame, level)

    table = bytearray()
    with contextlib.closing(_each(pack, _cut(chunks), threads or usual_threads())) as packing:
        for size_bytes, packed in packing:
            table += _ENTRY.pack(len(packed), size_bytes)
            yield packed
    yield _seek_table(table)


def decompress(
    table: FrameTable,
    read: Read,
    *,
    start: int = 0,
    size_bytes: int | None = None,
    threads: int = 1,
    run_bytes: int = _READ_BYTES,
) -> Iterator[bytes]:
    """Decompress the content from byte `start`: `size_bytes` of it, or all the rest, cut at its end.

    `read(start, size_bytes)` returns stored bytes. It is called in order, only for frames that the range touches, for
    up to `run_bytes` at once. No frame decompresses to more than 1 MiB, whatever its header claims.
    `threads` frames are decompressed at once: use more than one only to read to the end.

    Raises ChecksumMismatch.
    """
    end = table.size_bytes if size_bytes is None else min(table.size_bytes, start + size_bytes)
    if start >= end:
        return

    def unpack(fetched: tuple[int, memoryview]) -> bytes:
        number, packed = fetched
        here = number * FRAME_BYTES
        return _unpacked(table, number, packed)[max(0, start - here) : end - here]

    fetched = _fetched(table, read, start // FRAME_BYTES, (end - 1) // FRAME_BYTES, run_bytes)
    with contextlib.closing(_each(unpack, fetched, threads)) as unpacking:
        yield from unpacking


def usual_threads() -> int:
    """Return one for each core, at most 4."""
    return min(_MAX_THREADS, os.cpu_count() or 1)


def _cut(chunks: Iterable[Chunk]) -> Iterator[bytes | memoryview]:
    frame = bytearray()
    for chunk in chunks:
        rest = memoryview(chunk).cast("B")
        while rest:
            if not frame and rest.nbytes >= FRAME_BYTES and type(rest.obj) is bytes:  # immutable: no copy is needed
                yield rest[:FRAME_BYTES]
                rest = rest[FRAME_BYTES:]
                continue
            piece = rest[: FRAME_BYTES - len(frame)]
            frame += piece
            rest = rest[len(piece) :]
            if len(frame) == FRAME_BYTES:
                yield bytes(frame)
                frame.clear()
    if frame:
        yield bytes(frame)


def _each(work: Callable[[_Item], _Done], items: Iterator[_Item], threads: int) -> Generator[_Done, None, None]:
    """Yield `work(item)` for each item, in order, on `threads` threads if there are enough items."""
    head = list(islice(items, _ALONE + 1)) if threads > 1 else []
    if len(head) <= _ALONE:
        yield from map(work, chain(_drained(head), items))
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="frames")
    try:
        yield from _in_order(pool, work, chain(_drained(head), items), ahead=2 * threads)
    finally:
        pool.shutdown(cancel_futures=True)


def _drained(head: list[_Item]) -> Iterator[_Item]:
    while head:
        yield head.pop(0)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[_Item], _Done], items: Iterator[_Item], *, ahead: int
) -> Iterator[_Done]:
    """Yield the results in order, with at most `ahead` items in memory besides the one yielded."""
    waiting: deque[Future[_Done]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) == ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _packed(frame: bytes | memoryview, level: int) -> bytes:
    middle = max(0, len(frame) - _PROBE_BYTES) // 2  # a head or a padded end says little about the rest
    probe = frame[middle : middle + _PROBE_BYTES]
    worth_it = len(_packer(level).compress(probe)) < _WORTH_IT * len(probe)
    packed: bytes = _packer(level if worth_it else _CHEAPEST_LEVEL).compress(frame)
    return packed


def _packer(level: int) -> zstandard.ZstdCompressor:
    """Return this thread's compressor: it serves one call at a time, and a new one costs mostly its memory."""
    known = cast("dict[int, zstandard.ZstdCompressor]", vars(_of_thread))
    if level not in known:
        known[level] = zstandard.ZstdCompressor(level=level, write_checksum=True)
    return known[level]


def _seek_table(entries: bytes | bytearray) -> bytes:
    footer = _FOOTER.pack(len(entries) // _ENTRY.size, _PLAIN, _SEEKABLE_MAGIC)
    return _HEADER.pack(_SKIPPABLE_MAGIC, len(entries) + len(footer)) + entries + footer


def _fetched(table: FrameTable, read: Read, first: int, last: int, most: int) -> Iterator[tuple[int, memoryview]]:
    """Yield number and stored bytes of each frame from `first` to `last`, read in runs of up to `most` bytes."""
    while first <= last:
        start, after = table.begin(first), first + 1
        while after <= last and table.ends[after] - start <= most:
            after += 1
        run = memoryview(_exactly(read, start, table.begin(after) - start, table.what))
        for number in range(first, after):
            yield number, run[table.begin(number) - start : table.ends[number] - start]
        first = after


def _unpacked(table: FrameTable, number: int, packed: memoryview) -> bytes:
    """Return the content of one frame. Its header decides how much memory is allocated, so check it first."""
    try:
        claimed = zstandard.frame_content_size(packed)
        _check(claimed == table.frame_bytes(number), table.what, f"frame {number} claims another length")
        return zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ChecksumMismatch(_damaged(table.what, f"frame {number}: {error}")) from error


def _exactly(read: Read, start: int, size_bytes: int, what: str) -> Chunk:
    found = read(start, size_bytes)
    _check(len(found) == size_bytes, what, "it ends early")
    return found


def _check(fits: bool, what: str, why_not: str) -> None:  # noqa: FBT001  a condition, not a mode
    if not fits:
        raise ChecksumMismatch(_damaged(what, why_not))


def _damaged(what: str, why: str) -> str:
    return f"{what} is damaged in the store ({why}): restore it or run its task again"
