"""Plan: whether an upload comes whole or in parts, and how long each part is."""

import math
from collections.abc import Iterator
from typing import Final

import msgspec

from resultstore.blobs.parts import MAX_PARTS

MIB: Final = 1024 * 1024
SINGLE_PUT_MAX_BYTES: Final = 16 * MIB
PART_SIZE_BYTES: Final = 8 * MIB
MAX_BYTES: Final = 5 * 1024 * 1024 * MIB  # S3's largest object: 5 TiB


class Slice(msgspec.Struct, frozen=True):
    """Which part, and its length."""

    number: int
    size_bytes: int


class Plan(msgspec.Struct, frozen=True):
    """An upload of `size_bytes` in parts of `part_size_bytes`; 0 for one PUT."""

    size_bytes: int
    part_size_bytes: int

    @classmethod
    def of(cls, size_bytes: int) -> "Plan":
        """One PUT up to 16 MiB; then parts of 8 MiB, larger ones where more than 10,000 would be needed."""
        if size_bytes <= SINGLE_PUT_MAX_BYTES:
            return cls(size_bytes, 0)
        least = math.ceil(size_bytes / MAX_PARTS / MIB) * MIB
        return cls(size_bytes, max(PART_SIZE_BYTES, least))

    @property
    def count(self) -> int:
        """How many parts there are; 0 for one PUT."""
        return math.ceil(self.size_bytes / self.part_size_bytes) if self.part_size_bytes else 0

    def slices(self) -> Iterator[Slice]:
        """Every part, in order."""
        for index in range(self.count):
            yield Slice(index + 1, min(self.part_size_bytes, self.size_bytes - index * self.part_size_bytes))
