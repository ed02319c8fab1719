"""OutputPolicy: how the outputs of one task are kept, and the byte budget of one attempt."""

from collections.abc import Iterable, Iterator

import msgspec

from resultstore.model.errors import TooLarge


class OutputPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How the outputs of a task are kept, unless an output sets its own value.

    Args:
        retention: a retention class; None for `settings.results.retention`.
        max_bytes: the limit of what one attempt may store, before compression; None for no limit.
        compress: None compresses large values and leaves Artifacts raw; True compresses both (zstd), False neither.
        durable: True seals small plain values as well.
        spill: True replaces large plain values by references (claim check).
    """

    retention: str | None = None
    max_bytes: int | None = None
    compress: bool | None = None
    durable: bool = False
    spill: bool = True


DEFAULT = OutputPolicy()


class ByteBudget:
    """Counts the bytes that an attempt stores, up to a limit.

    Args:
        result_id: the Result, named in errors.
        max_bytes: the limit in total; None for no limit.
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
        """Raise TooLarge if the bytes counted so far and `coming_bytes` more are above the limit."""
        if self._max_bytes is not None and self._taken_bytes + coming_bytes > self._max_bytes:
            raise TooLarge(
                f"the outputs of {self._id} exceed the limit of its task ({self._max_bytes} bytes): "
                "store less, or raise max_bytes of its @keeps"
            )

    def limit(self, chunks: Iterable[memoryview]) -> Iterator[memoryview]:
        """Yield `chunks`, counting each. Raises TooLarge at the limit."""
        for chunk in chunks:
            self.take(chunk.nbytes)
            yield chunk
