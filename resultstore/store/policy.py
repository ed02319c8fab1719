"""Keeping: what one piece of work says of how its outputs shall be kept."""

from collections.abc import Iterable, Iterator

import msgspec

from resultstore.model.errors import TooLarge


class OutputPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How the outputs of a task are kept, where an output does not say otherwise.

    Args:
        retention: a retention class; None for `Settings.retention`.
        max_bytes: the most that one attempt may store, unpacked; None for no limit.
        compress: True stores Artifacts as zstd too, False stores large values raw; None is the default: large values
            as zstd, Artifacts raw.
        durable: whether a small plain value is sealed too.
        spill: whether large plain values travel as references.
    """

    retention: str | None = None
    max_bytes: int | None = None
    compress: bool | None = None
    durable: bool = False
    spill: bool = True


DEFAULT = OutputPolicy()


class ByteBudget:
    """What an attempt may still store.

    Args:
        result_id: named in errors.
        max_bytes: how much in all; None for no limit.
    """

    def __init__(self, result_id: str, max_bytes: int | None) -> None:
        self._id = result_id
        self._max_bytes = max_bytes
        self._taken_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Count `size_bytes` more. Raises TooLarge."""
        self._taken_bytes += size_bytes
        self.check()

    def check(self, coming_bytes: int = 0) -> None:
        """Raise TooLarge when what was taken, and `coming_bytes` more, is above the limit."""
        if self._max_bytes is not None and self._taken_bytes + coming_bytes > self._max_bytes:
            raise TooLarge(
                f"the outputs of {self._id} are more than its task allows ({self._max_bytes} bytes): "
                "store less, or raise max_bytes of its @keeps"
            )

    def through(self, chunks: Iterable[memoryview]) -> Iterator[memoryview]:
        """Hand `chunks` on for as long as they are allowed."""
        for chunk in chunks:
            self.take(chunk.nbytes)
            yield chunk
