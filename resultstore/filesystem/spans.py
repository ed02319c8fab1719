"""Spans: neighbouring ranges of one file, which one request fetches together."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from resultstore.blobs.stream import BLOCK_BYTES
from resultstore.store.ranges import RangeReader

_REQUESTS_AT_ONCE: Final = 8
_LARGEST_BYTES: Final = 32 << 20  # of one request, so that a few of them share the connections

Bound = int | None


class Range(msgspec.Struct, frozen=True):
    """One wanted range: its number in the answer, its first byte, the byte after its last."""

    number: int
    start: int
    end: int


def bounds_of(start: Bound, end: Bound, size_bytes: int) -> tuple[int, int]:
    """Return first byte and the byte after the last one, as a slice means them: negative ones count from the end."""
    first, after, _ = slice(start, end).indices(size_bytes)
    return first, max(first, after)


def merge(ranges: Sequence[Range], *, max_gap: int) -> list[list[Range]]:
    """Return the ranges in groups that lie at most `max_gap` bytes apart, each group at most 32 MiB or one range."""
    groups: list[list[Range]] = []
    end = 0
    for one in sorted(ranges, key=lambda each: each.start):
        last = groups[-1] if groups else None
        if last is not None and one.start <= end + max_gap and max(end, one.end) - last[0].start <= _LARGEST_BYTES:
            last.append(one)
            end = max(end, one.end)
        else:
            groups.append([one])
            end = one.end
    return groups


def read_ranges(
    open_reader: Callable[[str], RangeReader],
    wanted: Sequence[tuple[str, Bound, Bound]],
    *,
    max_gap: int | None = None,
) -> list[bytes | Exception]:
    """Return each wanted range (path, start, end) or the exception that prevented it, in their order."""
    answers: list[bytes | Exception] = [b""] * len(wanted)
    groups: list[tuple[RangeReader, list[Range]]] = []
    for path in dict.fromkeys(path for path, _, _ in wanted):
        mine = [(number, start, end) for number, (one, start, end) in enumerate(wanted) if one == path]
        try:
            reader = open_reader(path)
        except Exception as error:  # noqa: BLE001 - becomes the answer for each range of this path
            for number, _, _ in mine:
                answers[number] = error
            continue
        ranges = [Range(number, *bounds_of(start, end, reader.size_bytes)) for number, start, end in mine]
        gap = BLOCK_BYTES if max_gap is None else max_gap
        groups += [(reader, group) for group in merge(ranges, max_gap=gap)]
    if groups:
        with ThreadPoolExecutor(min(_REQUESTS_AT_ONCE, len(groups))) as pool:
            for found in pool.map(_read_group, groups):
                for number, answer in found:
                    answers[number] = answer
    return answers


def _read_group(one: tuple[RangeReader, list[Range]]) -> list[tuple[int, bytes | Exception]]:
    reader, group = one
    start, end = group[0].start, max(each.end for each in group)
    try:
        content = memoryview(reader.read(start, end - start))
    except Exception as error:  # noqa: BLE001 - becomes the answer for each range of the group
        return [(each.number, error) for each in group]
    return [(each.number, bytes(content[each.start - start : each.end - start])) for each in group]
