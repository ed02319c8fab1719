"""Plan: whether an upload is one PUT or multipart, and the size of each part."""

import math
from collections.abc import Iterator
from typing import Final

import msgspec

from resultstore.blobs.part_plan import MAX_PARTS
from resultstore.model.errors import TooLarge

MIB: Final = 1024 * 1024
SINGLE_PUT_MAX_BYTES: Final = 16 * MIB
PART_SIZE_BYTES: Final = 8 * MIB
MAX_BYTES: Final = 5 * 1024 * 1024 * MIB  # S3's largest object: 5 TiB
# Amazon S3 user guide, "Amazon S3 multipart upload limits" and "Uploading objects".
LEAST_PART_BYTES: Final = 5 * MIB
MOST_AT_ONCE_BYTES: Final = 5 * 1024 * MIB  # one PUT, or one part


class Slice(msgspec.Struct, frozen=True):
    """The number and the size of one part."""

    number: int
    size_bytes: int


class Plan(msgspec.Struct, frozen=True):
    """An upload of `size_bytes` in parts of `part_size_bytes`, which is 0 for one PUT."""

    size_bytes: int
    part_size_bytes: int

    @classmethod
    def of(cls, size_bytes: int) -> "Plan":
        """Choose one PUT up to 16 MiB, then parts of 8 MiB, or larger parts if more than 10,000 would be needed."""
        if size_bytes <= SINGLE_PUT_MAX_BYTES:
            return cls(size_bytes, 0)
        least = math.ceil(size_bytes / MAX_PARTS / MIB) * MIB
        return cls(size_bytes, max(PART_SIZE_BYTES, least))

    @classmethod
    def cut(cls, size_bytes: int, part_size_bytes: int) -> "Plan":
        """Use the part size that the client chose; 0 for one PUT. Raises TooLarge if S3 would refuse it."""
        if part_size_bytes and part_size_bytes < LEAST_PART_BYTES:
            raise TooLarge(f"parts must have {LEAST_PART_BYTES:,} bytes or more, not {part_size_bytes:,}")
        plan = cls(size_bytes, part_size_bytes)
        if (part_size_bytes or size_bytes) > MOST_AT_ONCE_BYTES or plan.count > MAX_PARTS:
            raise TooLarge(
                f"{size_bytes:,} bytes cannot be sent this way: split them into at most {MAX_PARTS:,} parts of at most "
                f"{MOST_AT_ONCE_BYTES:,} bytes"
            )
        return plan

    @property
    def count(self) -> int:
        """The number of parts; 0 for one PUT."""
        return math.ceil(self.size_bytes / self.part_size_bytes) if self.part_size_bytes else 0

    def slices(self) -> Iterator[Slice]:
        """Iterate over all parts in order."""
        for index in range(self.count):
            yield Slice(index + 1, min(self.part_size_bytes, self.size_bytes - index * self.part_size_bytes))
