"""PartPlan: part sizes of a multipart upload, and the cutting of a stream into pieces."""

import math
from collections.abc import Iterable, Iterator

import msgspec

from resultstore.blobs.blobstore import Chunk

MAX_PARTS = 10_000  # S3 user guide, "Amazon S3 multipart upload limits"
_MIB = 1024 * 1024
MIN_PART_BYTES = 5 * _MIB  # the same
_SHORT_BYTES = 64 * _MIB
_IN_FLIGHT = 4
_LARGE_IN_FLIGHT = 2
_HINT_SLACK = 1.05  # a hint is an expectation: 5 % more still fits

_SMALL_BYTES = 64 * 1024
_GATHERED_BYTES = _MIB


class PartPlan(msgspec.Struct, frozen=True):
    """The length of a part, and how many are sent at once."""

    part_size_bytes: int
    in_flight: int = _IN_FLIGHT

    @classmethod
    def of(cls, part_size_bytes: int, *, size_hint_bytes: int | None) -> "PartPlan":
        """Return parts of `part_size_bytes`; larger ones, fewer at once, if the hint does not fit into 10,000.

        A short stream gets the smallest parts that S3 takes: sending begins sooner, and the last part ends sooner.
        """
        smallest = cls(min(part_size_bytes, MIN_PART_BYTES))
        if size_hint_bytes and size_hint_bytes * _HINT_SLACK <= min(_SHORT_BYTES, smallest.max_bytes):
            return smallest
        if size_hint_bytes is None or size_hint_bytes <= MAX_PARTS * part_size_bytes:
            return cls(part_size_bytes)
        needed = math.ceil(size_hint_bytes * _HINT_SLACK / MAX_PARTS)
        return cls(math.ceil(needed / _MIB) * _MIB, _LARGE_IN_FLIGHT)

    @property
    def max_bytes(self) -> int:
        """Return the length of the longest stream that fits into these parts."""
        return MAX_PARTS * self.part_size_bytes

    @property
    def in_flight_bytes(self) -> int:
        """Return the most bytes that are sent at once."""
        return self.in_flight * self.part_size_bytes


def pieces(chunks: Iterable[Chunk], *, most_bytes: int) -> Iterator[memoryview]:
    """Yield the same bytes in pieces that are neither tiny nor longer than `most_bytes`.

    A piece may be sent after the producer went on, so bytes that the producer could still change are copied.
    Tiny pieces are joined: each piece costs a call, and a reference until its part is sent.
    """
    gathered: list[memoryview] = []
    held_bytes = 0
    for chunk in chunks:
        view = _unchanging(chunk)
        if view.nbytes < _SMALL_BYTES:
            gathered.append(view)
            held_bytes += view.nbytes
            if held_bytes < _GATHERED_BYTES:
                continue
            view = view[:0]
        if gathered:
            yield memoryview(b"".join(gathered))
            gathered, held_bytes = [], 0
        for start in range(0, view.nbytes, most_bytes):
            yield view[start : start + most_bytes]
    if held_bytes:
        yield memoryview(b"".join(gathered))


def _unchanging(chunk: Chunk) -> memoryview:
    if isinstance(chunk, memoryview) and type(chunk.obj) is bytes and chunk.c_contiguous:
        return chunk.cast("B")
    return memoryview(chunk if type(chunk) is bytes else bytes(chunk))
